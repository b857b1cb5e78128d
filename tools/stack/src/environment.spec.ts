import { describe, expect, it } from '@jest/globals';

import { ENGINES, type StackSettings } from './engine.js';
import { environmentOf, renderEnvironment } from './environment.js';

const SETTINGS: StackSettings = {
  nodes: 1,
  redis: 'single',
  commitlog: 'batch',
  ports: { kafka: 21_000, cassandra: 22_000, redis: 23_000, mysql: 24_000, etcd: 25_000 },
  mysqlPassword: 'abc123',
};

describe('the environment of a stack', () => {
  it('names every engine', () => {
    expect(environmentOf(SETTINGS, ENGINES)).toEqual({
      PARLEY_KAFKA_BROKERS: '127.0.0.1:21000',
      PARLEY_KAFKA_REPLICATION: '1',
      PARLEY_CASSANDRA_CONTACT_POINTS: '127.0.0.1:22000',
      PARLEY_CASSANDRA_DATACENTER: 'datacenter1',
      PARLEY_CASSANDRA_KEYSPACE: 'parley',
      PARLEY_CASSANDRA_REPLICATION: '1',
      PARLEY_REDIS_URL: 'redis://127.0.0.1:23000',
      PARLEY_MYSQL_URL: 'mysql://parley:abc123@127.0.0.1:24000/parley',
      PARLEY_ETCD_ENDPOINTS: 'http://127.0.0.1:25000',
    });
  });

  it('names every node of three', () => {
    const environment = environmentOf({ ...SETTINGS, nodes: 3 }, ['kafka', 'cassandra', 'etcd']);
    expect(environment).toEqual({
      PARLEY_KAFKA_BROKERS: '127.0.0.1:21000,127.0.0.1:21001,127.0.0.1:21002',
      PARLEY_KAFKA_REPLICATION: '3',
      PARLEY_CASSANDRA_CONTACT_POINTS: '127.0.0.1:22000,127.0.0.2:22000,127.0.0.3:22000',
      PARLEY_CASSANDRA_DATACENTER: 'datacenter1',
      PARLEY_CASSANDRA_KEYSPACE: 'parley',
      PARLEY_CASSANDRA_REPLICATION: '3',
      PARLEY_ETCD_ENDPOINTS: 'http://127.0.0.1:25000,http://127.0.0.1:25001,http://127.0.0.1:25002',
    });
  });

  it('has the masters of a Redis cluster instead of an address', () => {
    expect(environmentOf({ ...SETTINGS, redis: 'cluster' }, ['redis'])).toEqual({
      PARLEY_REDIS_CLUSTER: '127.0.0.1:23000,127.0.0.1:23001,127.0.0.1:23002',
    });
  });

  it('is written as lines that a shell reads without quotes', () => {
    const text = renderEnvironment(environmentOf({ ...SETTINGS, nodes: 3 }, ENGINES));
    expect(text).toContain('PARLEY_REDIS_URL=redis://127.0.0.1:23000\n');
    for (const line of text.trimEnd().split('\n')) expect(line).toMatch(/^[A-Z_]+=[\w.:/@,]+$/);
  });
});
