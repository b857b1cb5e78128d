import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { userInfo } from 'node:os';

import { ask } from './ask.js';
import type { Engine } from './engine.js';
import { exists } from './files.js';
import { packagesFor } from './packages.js';
import { programOf, run, versionOf } from './run.js';

export const MYSQL_DATABASE = 'parley';
export const MYSQL_USER = 'parley';
const GREETING = 10;

/** MariaDB with a data folder of its own; the system's server, if there is one, has nothing to do with it. */
export const mariadb: Engine = {
  startWithinMs: 60_000,
  stopWithinMs: 20_000,

  missingPackages: () => packagesFor({ mariadbd: 'mariadb-server', 'mariadb-install-db': 'mariadb-server' }),

  async install() {
    const from = await programOf('mariadbd');
    return { version: await versionOf(from), from };
  },

  async prepare(node, { settings, signal }) {
    const data = join(node.folder, 'data');
    const user = `--user=${userInfo().username}`; // the server refuses to run as root unless told to
    const initFile = join(node.folder, 'init.sql');
    await mkdir(node.folder, { recursive: true });
    await writeFile(initFile, accountsOf(settings.mysqlPassword), { mode: 0o600 });
    if (!(await exists(data))) {
      const partial = `${data}.partial`; // what an interrupted start has left is no store
      await rm(partial, { recursive: true, force: true });
      const empty = ['--no-defaults', `--datadir=${partial}`, user, '--auth-root-authentication-method=normal'];
      await run(await programOf('mariadb-install-db'), [...empty, '--skip-test-db'], { signal });
      await rename(partial, data);
    }
    return {
      command: await programOf('mariadbd'),
      args: [
        '--no-defaults',
        `--datadir=${data}`,
        user,
        // Below the data folder: a whole path may exceed the 107 characters that a socket's has at most.
        '--socket=mysql.sock',
        `--pid-file=${join(node.folder, 'mysql.pid')}`,
        `--bind-address=${node.host}`,
        `--port=${node.port}`,
        `--init-file=${initFile}`,
        '--skip-name-resolve',
        '--skip-log-bin',
        '--innodb-buffer-pool-size=128M',
        '--innodb-flush-log-at-trx-commit=1',
        '--max-connections=400',
        '--character-set-server=utf8mb4',
      ],
    };
  },

  /** A server that takes no connections says why instead of greeting. */
  async probe(node) {
    const kind = await ask(node, '', (received) => (received.length < 5 ? undefined : received.readUInt8(4)));
    if (kind !== GREETING) throw new Error(`${node.name} takes no connections`);
  },
};

/** Run before the first connection of every start; the account may make databases, which each test suite does. */
function accountsOf(password: string): string {
  const account = `${MYSQL_USER}@'127.0.0.1'`;
  return [
    `CREATE DATABASE IF NOT EXISTS ${MYSQL_DATABASE};`,
    `CREATE USER IF NOT EXISTS ${account} IDENTIFIED BY '${password}';`,
    `GRANT ALL ON *.* TO ${account};\n`,
  ].join('\n');
}
