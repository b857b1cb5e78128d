import { redisSuite } from './redis-suite.js';

redisSuite('a cluster');
