import { afterAll, beforeAll, describe } from '@jest/globals';

import { type Keyspace, makeKeyspace } from './cassandra-fixture.js';
import { CassandraConversationLog } from './cassandra.js';
import { conversationLogConformance } from './conformance.js';

describe.each([undefined, 7])('with partitions of %p entries', (bucketEntries) => {
  let keyspace: Keyspace;
  beforeAll(async () => {
    keyspace = await makeKeyspace();
  });
  afterAll(() => keyspace.drop());

  conversationLogConformance('cassandra', async () => {
    const config = { ...keyspace.config, ...(bucketEntries === undefined ? {} : { bucketEntries }) };
    await keyspace.emptyJournal();
    let log = await CassandraConversationLog.open(config);
    return {
      log,
      async reopen() {
        await log.close();
        return (log = await CassandraConversationLog.open(config));
      },
      close: () => log.close(),
    };
  });
});
