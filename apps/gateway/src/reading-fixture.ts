import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  type Actor,
  type ConversationId,
  type ConversationType,
  DEFAULT_WORKSPACE,
  entryId,
  type History,
  type LogEntry,
  type Role,
  type Seq,
  seq,
  type StoredEntry,
  type UserId,
} from '@parley/contracts';
import { type ConversationLog, openConversationLog } from '@parley/conversation-log';
import { type Directory, openDirectory } from '@parley/directory';
import { type FrameBus, openFrameBus } from '@parley/frame-bus';
import { ManualClock } from '@parley/service-kit';

import { readAccess } from './access.js';
import { ConversationViews } from './conversation-views.js';
import { Positions } from './positions.js';
import { Projection } from './projection.js';
import { Reading } from './reading.js';
import { Sync } from './sync.js';

export const ANN = 'ann' as UserId;
export const BOB = 'bob' as UserId;
export const CAT = 'cat' as UserId;
export const actor = (userId: UserId): Actor => ({ workspaceId: DEFAULT_WORKSPACE, userId });

/** A real log and directory; opened once for a file of specs, because workers start slowly. */
export interface Stores {
  readonly log: ConversationLog;
  readonly directory: Directory;
  close(): Promise<void>;
}

export async function openStores(): Promise<Stores> {
  const folder = await mkdtemp(join(tmpdir(), 'parley-gateway-'));
  const [log, directory] = await Promise.all([
    openConversationLog({ adapter: 'sqlite', directory: join(folder, 'log') }),
    openDirectory({ adapter: 'sqlite', directory: join(folder, 'directory') }),
  ]);
  return {
    log,
    directory,
    async close() {
      await log.close();
      await directory.close();
      await rm(folder, { recursive: true });
    },
  };
}

/** An entry without its place; `by` is Ann where nobody is named. */
export type Draft = { by?: UserId } & (
  | { kind: 'message'; text?: string; parentSeq?: number; mentions?: string[] }
  | { kind: 'edit'; targetSeq: number; text: string }
  | { kind: 'delete'; targetSeq: number }
  | { kind: 'reaction' | 'pin'; targetSeq: number; op: 'add' | 'remove'; emoji?: string }
  | { kind: 'member'; op: 'added' | 'removed'; userIds: UserId[] }
  | { kind: 'settings'; changes: { name?: string; deleted?: true } }
);

let conversations = 0;

/** For specs: the gateway's reads over real stores, and a conversation whose log is written here. */
export class ReadingFixture {
  readonly id: ConversationId;
  readonly clock = new ManualClock();
  readonly projection: Projection;
  readonly views: ConversationViews;
  readonly sync: Sync;
  readonly reading: Reading;
  readonly positions: Positions;
  #at = 0;
  #ordinal = 0;
  #memberSeq: Seq = seq(0);

  constructor(
    readonly stores: Stores,
    readonly frames: FrameBus,
    id = `c_${(conversations += 1)}`,
  ) {
    const { directory, log } = stores;
    this.id = id as ConversationId;
    this.projection = new Projection(directory, log);
    this.views = new ConversationViews(directory, log, this.projection);
    this.sync = new Sync(directory, log, this.views);
    this.reading = new Reading(log);
    this.positions = new Positions(directory, log, this.projection, frames, this.clock);
  }

  static async open(
    stores: Stores,
    given: {
      readonly type?: ConversationType;
      readonly history?: History;
      readonly members?: readonly UserId[];
      readonly role?: Role;
      readonly createdAtMs?: number;
      readonly visibility?: 'private' | 'public';
    } = {},
  ): Promise<ReadingFixture> {
    const fixture = new ReadingFixture(stores, await openFrameBus({ adapter: 'in-process' }));
    const { members = [ANN, BOB], type = 'group', history = 'joined' } = given;
    await stores.directory.createConversation({
      workspaceId: DEFAULT_WORKSPACE,
      id: fixture.id,
      type,
      name: null,
      topic: null,
      visibility: given.visibility ?? 'private',
      history,
      createdBy: ANN,
      createdAt: new Date(given.createdAtMs ?? 0).toISOString(),
      members: members.map((userId) => ({ userId, role: given.role ?? 'member' })),
    });
    return fixture;
  }

  /** Appends in one step; the directory is told nothing. */
  async write(...drafts: Draft[]): Promise<readonly LogEntry[]> {
    const from = this.#at;
    const stored = drafts.map((draft) => this.#place(draft));
    const outcome = await this.stores.log.append(this.id, seq(from), stored);
    if (outcome.kind !== 'appended') throw new Error('The log has another writer');
    return stored.map(({ entry }) => entry);
  }

  access(userId: UserId) {
    return readAccess(this.projection, this.stores.directory, actor(userId), this.id);
  }

  async page(userId: UserId, after: number, limit = 100) {
    const { head, ranges } = await this.access(userId);
    return this.sync.page(this.id, head, ranges, seq(after), limit);
  }

  #place({ by = ANN, ...draft }: Draft): StoredEntry {
    const at = (this.#at += 1);
    const { text, ...rest } = { text: `${at}`, ...draft };
    const entry = {
      conversationId: this.id,
      seq: seq(at),
      id: entryId(this.id, at),
      senderId: by,
      sentAt: new Date(Date.UTC(2026, 0, 1) + at * 1_000).toISOString(),
      ...rest,
      ...(draft.kind === 'message' || draft.kind === 'edit' ? { content: { type: 'text', text } } : {}),
    } as LogEntry;
    if (entry.kind === 'message') this.#ordinal += 1;
    if (entry.kind === 'member' || entry.kind === 'settings') this.#memberSeq = entry.seq;
    return { entry, json: JSON.stringify(entry), ordinal: this.#ordinal, memberSeq: this.#memberSeq };
  }
}

export const say = { kind: 'message' } as const;
export const add = (...userIds: UserId[]) => ({ kind: 'member', op: 'added', userIds }) as const;
export const remove = (...userIds: UserId[]) => ({ kind: 'member', op: 'removed', userIds }) as const;
export const seqs = (entries: readonly { readonly seq: number }[]): number[] => entries.map(({ seq: at }) => at);
