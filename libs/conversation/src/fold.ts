import { type LogEntry, type Message, type MessageEntry, type Reaction, seq, type UserId } from '@parley/contracts';

const NAMED_REACTORS_MAX = 50;

export interface ThreadSummary {
  readonly count: number;
  readonly lastReplyAt: string;
  readonly participants: readonly UserId[];
}

/** Everything about a message that entries after it decided. */
export interface MessageState {
  readonly entry: MessageEntry;
  readonly edited?: { readonly content: MessageEntry['content']; readonly at: string };
  readonly deletedAt?: string;
  readonly deletedSeq?: number;
  /** By emoji, in order of first use; who reacted, with the seq of the entry that says so. */
  readonly reactions: ReadonlyMap<string, ReadonlyMap<UserId, number>>;
  readonly pinned?: { readonly by: UserId; readonly at: string; readonly seq: number };
}

/**
 * The state of a message after its changes (`edit`, `delete`, `reaction`, `pin` entries that target it, ascending).
 * Pure: the same function serves reads, routing's checks, and clients.
 */
export function foldMessage(entry: MessageEntry, changes: readonly LogEntry[]): MessageState {
  let state: MessageState = {
    entry,
    ...(entry.deletedAt === undefined ? {} : { deletedAt: entry.deletedAt }),
    reactions: new Map(),
  };
  for (const change of changes) state = applyChange(state, change);
  return state;
}

export function applyChange(state: MessageState, change: LogEntry): MessageState {
  switch (change.kind) {
    case 'edit':
      return change.targetSeq !== state.entry.seq || change.content === null
        ? state
        : { ...state, edited: { content: change.content, at: change.sentAt } };
    case 'delete':
      return change.targetSeq === state.entry.seq
        ? { ...state, deletedAt: state.deletedAt ?? change.sentAt, deletedSeq: change.seq }
        : state;
    case 'reaction':
      return change.targetSeq === state.entry.seq ? { ...state, reactions: react(state.reactions, change) } : state;
    case 'pin': {
      if (change.targetSeq !== state.entry.seq) return state;
      const { pinned: _pinned, ...rest } = state;
      return change.op === 'add'
        ? { ...rest, pinned: { by: change.senderId, at: change.sentAt, seq: change.seq } }
        : rest;
    }
    case 'message':
    case 'member':
    case 'settings':
      return state;
  }
}

function react(
  reactions: MessageState['reactions'],
  change: Extract<LogEntry, { kind: 'reaction' }>,
): MessageState['reactions'] {
  const next = new Map(reactions);
  const users = new Map(next.get(change.emoji));
  if (change.op === 'add') {
    if (!users.has(change.senderId)) users.set(change.senderId, change.seq);
  } else {
    users.delete(change.senderId);
  }
  if (users.size === 0) next.delete(change.emoji);
  else next.set(change.emoji, users);
  return next;
}

/** The message as `viewer` now reads it. A deleted one is nothing but its place. */
export function viewMessage(state: MessageState, viewer: UserId, thread?: ThreadSummary): Message {
  const { entry } = state;
  const place = {
    conversationId: entry.conversationId,
    seq: entry.seq,
    id: entry.id,
    senderId: entry.senderId,
    sentAt: entry.sentAt,
    ...(entry.clientId === undefined ? {} : { clientId: entry.clientId }),
    ...(entry.parentSeq === undefined ? {} : { parentSeq: entry.parentSeq }),
    ...(thread === undefined || thread.count === 0
      ? {}
      : { replyCount: thread.count, lastReplyAt: thread.lastReplyAt, participants: [...thread.participants] }),
  };
  if (state.deletedAt !== undefined) return { ...place, content: null, deletedAt: state.deletedAt };
  return {
    ...place,
    content: state.edited?.content ?? entry.content,
    ...(entry.mentions === undefined ? {} : { mentions: entry.mentions }),
    ...(state.edited === undefined ? {} : { editedAt: state.edited.at }),
    ...(state.reactions.size === 0 ? {} : { reactions: viewReactions(state.reactions, viewer) }),
    ...(state.pinned === undefined ? {} : { pinned: { by: state.pinned.by, at: state.pinned.at } }),
  };
}

function viewReactions(reactions: MessageState['reactions'], viewer: UserId): Reaction[] {
  return [...reactions].map(([emoji, users]) => ({
    emoji,
    count: users.size,
    userIds: [...users.keys()].slice(0, NAMED_REACTORS_MAX),
    me: users.has(viewer),
  }));
}

/** Groups changes by the message that they change, keeping their order. */
export function changesByTarget(changes: readonly LogEntry[]): ReadonlyMap<number, readonly LogEntry[]> {
  const groups = new Map<number, LogEntry[]>();
  for (const change of changes) {
    if (!('targetSeq' in change)) continue;
    const target = seq(change.targetSeq);
    const group = groups.get(target);
    if (group === undefined) groups.set(target, [change]);
    else group.push(change);
  }
  return groups;
}
