import { cassandra } from './cassandra.js';
import type { Engine, EngineName } from './engine.js';
import { etcd } from './etcd.js';
import { kafka } from './kafka.js';
import { mariadb } from './mariadb.js';
import { redis } from './redis.js';

export function engineOf(name: EngineName): Engine {
  switch (name) {
    case 'kafka':
      return kafka;
    case 'cassandra':
      return cassandra;
    case 'redis':
      return redis;
    case 'mysql':
      return mariadb;
    case 'etcd':
      return etcd;
    default:
      return name satisfies never;
  }
}
