import type { CassandraConversationLogConfig } from './cassandra-config.js';
import { CassandraConversationLog } from './cassandra.js';
import type { ConversationLog } from './conversation-log.js';
import { SqliteConversationLog } from './sqlite.js';

export {
  type CassandraMigrationConfig,
  type CassandraReplication,
  migrateConversationLog,
} from './cassandra-schema.js';
export * from './conversation-log.js';

/** Which adapter keeps the log, and where. */
export type ConversationLogConfig =
  | {
      readonly adapter: 'sqlite';
      /** Folder of the database files. */
      readonly directory: string;
    }
  | ({ readonly adapter: 'cassandra' } & CassandraConversationLogConfig);

export async function openConversationLog(config: ConversationLogConfig): Promise<ConversationLog> {
  switch (config.adapter) {
    case 'sqlite':
      return SqliteConversationLog.open({ directory: config.directory });
    case 'cassandra':
      return CassandraConversationLog.open(config);
    default:
      return unknownAdapter(config);
  }
}

function unknownAdapter(config: never): never {
  const { adapter } = config as { readonly adapter: unknown };
  throw new Error(`conversationLog.adapter: there is no adapter "${String(adapter)}"; known: sqlite, cassandra`);
}
