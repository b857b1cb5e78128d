import { CASSANDRA_DATACENTER } from './cassandra.js';
import type { EngineName, StackSettings } from './engine.js';
import { MYSQL_DATABASE, MYSQL_USER } from './mariadb.js';
import { addressesOf } from './nodes.js';

export type Environment = Readonly<Record<string, string>>;

/** The settings of services and specs that use these engines of the stack. */
export function environmentOf(settings: StackSettings, engines: readonly EngineName[]): Environment {
  return Object.assign({}, ...engines.map((engine) => variablesOf(engine, settings))) as Environment;
}

/** Lines that a shell can read as well as `--env-file` of Node: no value has a character that either would interpret. */
export function renderEnvironment(environment: Environment): string {
  return Object.entries(environment)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

function variablesOf(engine: EngineName, settings: StackSettings): Environment {
  const hosts = addressesOf(engine, settings.ports[engine], settings).map(({ host, port }) => `${host}:${port}`);
  switch (engine) {
    case 'kafka':
      return {
        PARLEY_KAFKA_BROKERS: hosts.join(','),
        PARLEY_KAFKA_REPLICATION: String(settings.nodes),
      };
    case 'cassandra':
      return {
        PARLEY_CASSANDRA_CONTACT_POINTS: hosts.join(','),
        PARLEY_CASSANDRA_DATACENTER: CASSANDRA_DATACENTER,
        PARLEY_CASSANDRA_KEYSPACE: 'parley',
        PARLEY_CASSANDRA_REPLICATION: String(settings.nodes),
      };
    case 'redis':
      return settings.redis === 'cluster'
        ? { PARLEY_REDIS_CLUSTER: hosts.join(',') }
        : { PARLEY_REDIS_URL: `redis://${hosts.join(',')}` };
    case 'mysql':
      return {
        PARLEY_MYSQL_URL: `mysql://${MYSQL_USER}:${settings.mysqlPassword}@${hosts.join(',')}/${MYSQL_DATABASE}`,
      };
    case 'etcd':
      return { PARLEY_ETCD_ENDPOINTS: hosts.map((host) => `http://${host}`).join(',') };
    default:
      return engine satisfies never;
  }
}
