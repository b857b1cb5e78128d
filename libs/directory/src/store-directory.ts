import { apiKeys } from './api-keys.js';
import { projection } from './apply-entries.js';
import { conversations } from './conversations.js';
import type { Store } from './dialect.js';
import type { Directory } from './directory.js';
import { members } from './members.js';
import { positions } from './positions.js';
import { signIns } from './sign-ins.js';
import { users } from './users.js';

/** The directory on any database that has a dialect here. */
export function storeDirectory(store: Store, close: () => Promise<void>): Directory {
  return {
    ...users(store),
    ...signIns(store),
    ...apiKeys(store),
    ...conversations(store),
    ...projection(store),
    ...members(store),
    ...positions(store),
    close,
  };
}
