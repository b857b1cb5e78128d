import type { Directory } from './directory.js';
import { openSqliteDirectory } from './sqlite.js';

export type * from './directory.js';

export type DirectoryConfig = {
  readonly adapter: 'sqlite';
  /** The folder that holds the database; created when it is not there. */
  readonly directory: string;
};

/** Opens the directory on the adapter that the configuration names. */
export async function openDirectory(config: DirectoryConfig): Promise<Directory> {
  switch (config.adapter) {
    case 'sqlite':
      return openSqliteDirectory(config.directory);
    default:
      return unknownAdapter(config.adapter);
  }
}

function unknownAdapter(adapter: never): never {
  throw new Error(`directory.adapter: unknown adapter '${String(adapter)}', one of: sqlite`);
}
