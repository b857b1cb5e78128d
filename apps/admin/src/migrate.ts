import { adapterSettings, planEngines } from '@parley/adapters';
import { migrateConversationLog } from '@parley/conversation-log';
import { migrateDirectory, withMigrationLock } from '@parley/directory';
import { migrateEventBus } from '@parley/event-bus';
import { readConfig } from '@parley/service-kit';

/**
 * Brings the schemas of MySQL and Cassandra and the topics of Kafka to what this version needs. Idempotent. Of several
 * that run at once (the hook of an installation that is tried again) one works and the others wait, by a lock in MySQL.
 */
export async function migrate(env: NodeJS.ProcessEnv, print: (line: string) => void): Promise<void> {
  const config = readConfig(adapterSettings, env);
  const { log, directory, bus } = planEngines(config, 'migrate');
  await withMigrationLock(directory, async () => {
    const step = async (what: string, run: () => Promise<void>): Promise<void> => {
      const startedMs = performance.now();
      await run();
      print(`${what}: as this version needs it (${Math.round(performance.now() - startedMs)} ms)`);
    };
    await step('directory, MySQL', () => migrateDirectory(directory));
    await step('conversation log, Cassandra', () => migrateConversationLog(log));
    await step('event bus, Kafka', () => migrateEventBus({ adapter: 'kafka', ...bus }));
  });
}
