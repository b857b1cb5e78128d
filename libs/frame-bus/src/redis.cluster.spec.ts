import { lossSuite, redisSuite } from './redis-suite.js';

redisSuite('one server');
lossSuite();
