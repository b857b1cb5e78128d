import { redisSuite } from './redis-suite.js';

redisSuite('one server');
