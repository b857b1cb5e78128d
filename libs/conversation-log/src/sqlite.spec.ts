import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { conversationLogConformance } from './conformance.js';
import { SqliteConversationLog } from './sqlite.js';

conversationLogConformance('sqlite', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'parley-log-'));
  let log = await SqliteConversationLog.open({ directory });
  return {
    log,
    async reopen() {
      await log.close();
      return (log = await SqliteConversationLog.open({ directory }));
    },
    async close() {
      await log.close();
      await rm(directory, { recursive: true });
    },
  };
});
