import type { ConversationLog } from './conversation-log.js';
import { SqliteConversationLog } from './sqlite.js';

export * from './conversation-log.js';

/** Which adapter keeps the log, and where. */
export type ConversationLogConfig = {
  readonly adapter: 'sqlite';
  /** Folder of the database files. */
  readonly directory: string;
};

export async function openConversationLog(config: ConversationLogConfig): Promise<ConversationLog> {
  switch (config.adapter) {
    case 'sqlite':
      return SqliteConversationLog.open({ directory: config.directory });
    default:
      return unknownAdapter(config.adapter);
  }
}

function unknownAdapter(adapter: never): never {
  throw new Error(`conversationLog.adapter: there is no adapter "${String(adapter)}"; known: sqlite`);
}
