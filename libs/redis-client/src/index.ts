export { type Argument, type RedisCall, type RedisScript, script } from './calls.js';
export type { RedisAccess, RedisAddress, RedisConfig, RedisPlace } from './config.js';
export { connectRedis, type RedisConnection, type Reply } from './connection.js';
export { byShard, shardOf, slotOf } from './slots.js';
export type { ShardedSubscriber } from './subscriber.js';
