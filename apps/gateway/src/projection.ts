import { type ConversationFacts, type ConversationId, type MessagesRecord, type Seq, seq } from '@parley/contracts';
import type { ConversationLog } from '@parley/conversation-log';
import type { Directory } from '@parley/directory';

const PAGE = 1_000;

/**
 * Keeps the directory's rows (members, name, topic, settings) in step with the log, which is the truth. Nobody trusts a
 * row that lags: whoever needs it as of a position asks here, and what is missing is read and applied first.
 */
export class Projection {
  constructor(
    private readonly directory: Directory,
    private readonly log: ConversationLog,
  ) {}

  /** The conversation's facts, with everything up to `atLeast` applied. */
  async facts(id: ConversationId, atLeast: Seq): Promise<ConversationFacts | null> {
    let facts = await this.directory.conversation(id);
    while (facts !== null && facts.appliedSeq < atLeast) {
      const from = facts.appliedSeq;
      const page = await this.log.read(id, { after: from, upTo: atLeast, limit: PAGE });
      const last = page.at(-1);
      if (last === undefined) return facts;
      const changes = page.map(({ entry }) => entry).filter(({ kind }) => kind === 'member' || kind === 'settings');
      facts = await this.directory.applyEntries(id, changes, { from, upTo: last.entry.seq });
    }
    return facts;
  }

  /** The conversation as of its log's head, with that head. */
  async current(id: ConversationId) {
    const [head, known] = await Promise.all([this.log.head(id), this.directory.conversation(id)]);
    const facts = known === null || known.appliedSeq >= head.memberSeq ? known : await this.facts(id, head.memberSeq);
    return { head, facts };
  }

  /** For changes whose request died before it applied them. */
  async consume(records: readonly MessagesRecord[]): Promise<void> {
    for (const { conversationId, entries } of records) {
      const last = entries.findLast(({ entry }) => entry.kind === 'member' || entry.kind === 'settings');
      if (last !== undefined) await this.facts(conversationId, seq(last.entry.seq));
    }
  }
}
