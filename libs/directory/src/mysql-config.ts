export interface MysqlTls {
  /** PEM. Without it, the authorities that Node trusts. */
  readonly ca?: string;
  /** PEM, where the server asks clients for a certificate. */
  readonly cert?: string;
  readonly key?: string;
  /**
   * Whether the server's certificate is checked, and its name where `url` has a name (mysql2 cannot check an IP
   * address). Default true.
   */
  readonly verify?: boolean;
}

/** MySQL 8.0 and later, or MariaDB 10.6 and later. Everything goes to this one server: reads see what was written. */
export interface MysqlDirectoryConfig {
  /** `mysql://user:password@host:port/database`, each part percent-encoded. */
  readonly url: string;
  /** In place of what the URL says, where secrets are kept apart from addresses. */
  readonly user?: string;
  readonly password?: string;
  readonly tls?: MysqlTls;
  /** Connections of this process. Default 16. */
  readonly connections?: number;
  /** Calls that wait for a connection; beyond, `overloaded`. Default 1,000. */
  readonly maxWaiting?: number;
  /** How long a statement may take. Default 2,500; more than the 2 s in which the server gives up a lock. */
  readonly queryTimeoutMs?: number;
  /** How long `openDirectory` and the migration wait for a server that is not there yet. Default 30,000. */
  readonly connectTimeoutMs?: number;
}

export interface MysqlTarget {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly tls: MysqlTls | null;
  /** For messages: without the credentials. */
  readonly address: string;
}

const DEFAULT_PORT = 3306;

export function mysqlTarget(config: MysqlDirectoryConfig): MysqlTarget {
  const url = URL.canParse(config.url) ? new URL(config.url) : null;
  const database = decodeURIComponent(url?.pathname.slice(1) ?? '');
  if (url === null || url.protocol !== 'mysql:' || url.hostname === '' || database === '') {
    throw new Error('directory.url: not of the form mysql://user:password@host:port/database');
  }
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const port = url.port === '' ? DEFAULT_PORT : Number(url.port);
  return {
    host,
    port,
    user: config.user ?? decodeURIComponent(url.username),
    password: config.password ?? decodeURIComponent(url.password),
    database,
    tls: config.tls ?? null,
    address: `${url.hostname}:${port}/${database}`,
  };
}
