import { untilAnswered } from '@parley/load';

import { maySee, type Player } from './player.js';

export interface ChangesStage {
  readonly conversationId: string;
  readonly owner: Player;
  readonly players: readonly Player[];
  /** The seq of each line's message, or nothing if it was not accepted. */
  readonly sentLines: ReadonlyMap<number, Promise<number | undefined>>;
  readonly attempt: (what: string, act: () => Promise<void>) => Promise<void>;
}

const EVERY_LINES = 25;
export const CHANGES = ['edit', 'delete', 'react', 'react and take back', 'pin', 'pin and unpin'] as const;

/** What happens to the message of a line at the end: the same on every run. */
export function changeOf(line: number): (typeof CHANGES)[number] | undefined {
  return line % EVERY_LINES === 0 ? CHANGES[(line / EVERY_LINES) % CHANGES.length] : undefined;
}

/** After the log itself: edits, deletions, reactions, pins, a role and a topic, so that every kind of entry occurs. */
export async function playChanges(stage: ChangesStage): Promise<void> {
  const { owner, players, attempt } = stage;
  const params = { conversationId: stage.conversationId };
  const members = players.filter(({ member }) => member);
  const topic = 'Support for #ubuntu, replayed';
  await attempt('topic', async () => {
    await untilAnswered(() => owner.account.call('updateConversation', { params, body: { topic } }));
  });
  const promoted = members[0];
  if (promoted !== undefined) {
    await attempt('role', async () => {
      const who = { ...params, userId: promoted.account.user.id };
      await untilAnswered(() => owner.account.call('updateMember', { params: who, body: { role: 'admin' } }));
    });
  }
  for (const [line, message] of stage.sentLines) {
    const change = changeOf(line);
    const seq = await message;
    if (change === undefined || seq === undefined) continue;
    const author = members.find((player) => player.client.hasSent(seq));
    const other =
      members.slice(line % Math.max(1, members.length)).find((one) => one !== author && maySee(one, seq)) ?? owner;
    await attempt(`line ${line}: ${change}`, () => changeMessage(stage, change, seq, author, other));
  }
}

/** Edits and deletions are the author's, if still a member; pins are the owner's; anybody else reacts. */
async function changeMessage(
  { owner, conversationId }: ChangesStage,
  change: (typeof CHANGES)[number],
  seq: number,
  author: Player | undefined,
  other: Player,
): Promise<void> {
  const params = { conversationId, seq };
  const emoji = '👍';
  switch (change) {
    case 'edit':
      await author?.client.change('message.edit', seq, { content: { type: 'text', text: `edited: ${seq}` } });
      return;
    case 'delete':
      await author?.client.change('message.delete', seq);
      return;
    case 'react':
      await other.client.change('reaction.add', seq, { emoji });
      return;
    case 'react and take back':
      await other.client.change('reaction.add', seq, { emoji });
      await other.client.change('reaction.remove', seq, { emoji });
      return;
    case 'pin':
      await untilAnswered(() => owner.account.call('pin', { params }));
      return;
    case 'pin and unpin':
      await untilAnswered(() => owner.account.call('pin', { params }));
      await untilAnswered(() => owner.account.call('unpin', { params }));
  }
}
