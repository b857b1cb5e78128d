import type { StoredEntry } from '@parley/contracts';

import type { Scribe } from './conformance-entries.js';
import type { ConversationLog } from './conversation-log.js';

/** What a test of the suite starts from. */
export interface Given {
  /** The log of the test that runs. */
  readonly log: ConversationLog;
  /** Of a conversation of its own. */
  newScribe(): Scribe;
  /** A short log, whole. */
  readAll(scribe: Scribe): Promise<readonly StoredEntry[]>;
}
