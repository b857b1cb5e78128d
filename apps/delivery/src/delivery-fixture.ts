import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  type ConversationId,
  type ConversationType,
  DEFAULT_WORKSPACE,
  type DeviceId,
  type DirectoryLink,
  entryId,
  type History,
  type InboxRecord,
  type InstanceId,
  type LogEntry,
  type MessagesRecord,
  ParleyError,
  type PublishedEntry,
  type RoomPush,
  type Seq,
  seq,
  type SessionId,
  type UserId,
  type UserPush,
} from '@parley/contracts';
import { type ConversationLog, openConversationLog, READ_MAX_ENTRIES } from '@parley/conversation-log';
import { type Directory, openDirectory } from '@parley/directory';
import { openDiscovery } from '@parley/discovery';
import { type EventBus, openEventBus } from '@parley/event-bus';
import { type FrameBus, openFrameBus, type RoomFrame } from '@parley/frame-bus';
import { InProcessLinks } from '@parley/links';
import { ManualClock, Metrics, Readiness, silentLogger, Tracing } from '@parley/service-kit';
import { openSessionRegistry, type SessionRegistry } from '@parley/session-registry';

import { DeliveryService } from './delivery.service.js';

export const ANN = 'ann' as UserId;
export const BOB = 'bob' as UserId;
export const CAT = 'cat' as UserId;
export const DAN = 'dan' as UserId;

/** A real log and directory; opened once for a file of specs, because workers start slowly. */
export interface Stores {
  readonly log: ConversationLog;
  readonly directory: Directory;
  close(): Promise<void>;
}

export async function openStores(): Promise<Stores> {
  const folder = await mkdtemp(join(tmpdir(), 'parley-delivery-'));
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

/** An entry without its place. */
export type Draft =
  | { kind: 'message'; text?: string; parentSeq?: number; mentions?: string[] }
  | { kind: 'edit' | 'delete'; targetSeq: number }
  | { kind: 'member'; op: 'added' | 'removed'; userIds: UserId[] };

let conversations = 0;

/** For specs: delivery on real stores, bus, registry and rooms; chat servers note what they are given. */
export class DeliveryFixture {
  readonly id = `c_${(conversations += 1)}` as ConversationId;
  readonly clock = new ManualClock();
  /** Frames by user and by server, as they arrived: `event seq`. */
  readonly pushed: { readonly server: string; readonly push: UserPush }[] = [];
  readonly roomFrames: RoomFrame[] = [];
  readonly inbox: InboxRecord[] = [];
  /** The next questions to the directory that fail. */
  failingQuestions = 0;
  registryAway = false;
  framesAway = false;
  /** Frames by call to each server, while the frame bus is away. */
  readonly roomCalls: { readonly server: string; readonly push: RoomPush }[] = [];
  readonly unreachable = new Set<string>();
  #entries: PublishedEntry[] = [];
  #ordinal = 0;
  #memberSeq: Seq = seq(0);

  private constructor(
    readonly stores: Stores,
    readonly type: ConversationType,
    readonly history: History,
    readonly bus: EventBus,
    readonly frames: FrameBus,
    readonly delivery: DeliveryService,
    private readonly register: (userId: UserId, server: string) => Promise<void>,
  ) {}

  static async open(stores: Stores, type: ConversationType = 'group', history: History = 'joined') {
    const bus = await openEventBus({ adapter: 'in-process', pause: async () => undefined });
    const frames = await openFrameBus({ adapter: 'in-process' });
    const registry = await openSessionRegistry({ adapter: 'in-process', ttlMs: 60_000, nowMs: () => 0 });
    const discovery = await openDiscovery({ adapter: 'in-process' });
    const links = new InProcessLinks();
    const online = new Map<string, Set<UserId>>();
    const sessions: SessionRegistry = {
      register: (records) => registry.register(records),
      refresh: (records) => registry.refresh(records),
      remove: (serverId, records) => registry.remove(serverId, records),
      close: () => registry.close(),
      async lookup(workspaceId, userIds) {
        if (given.registryAway) throw new ParleyError('unavailable', 'the registry is away');
        return registry.lookup(workspaceId, userIds);
      },
    };
    for (const server of ['chat-1', 'chat-2']) {
      online.set(server, new Set());
      await discovery.register({
        service: 'chat',
        instanceId: server as InstanceId,
        address: server,
        region: 'local',
        version: '1',
        state: 'ready',
      });
      links.serve('chat', server, {
        async push(pushes) {
          if (given.unreachable.has(server)) throw new ParleyError('unavailable', 'no answer');
          for (const push of pushes) given.pushed.push({ server, push });
          return pushes.map(({ userIds }) => userIds.filter((userId) => online.get(server)?.has(userId)));
        },
        async pushRooms(pushes) {
          for (const push of pushes) given.roomCalls.push({ server, push });
        },
      });
    }
    const delivery = new DeliveryService(
      {
        log: stores.log,
        bus,
        frames: {
          attach: (serverId, receive) => frames.attach(serverId, receive),
          close: () => frames.close(),
          async publish(room, frame) {
            if (given.framesAway) throw new ParleyError('unavailable', 'the frame bus is away');
            await frames.publish(room, frame);
          },
        },
        sessions,
        links,
        directory: linkOf(stores, () => {
          if (given.failingQuestions === 0) return;
          given.failingQuestions -= 1;
          throw new ParleyError('unavailable', 'the directory is away');
        }),
        chatServers: await discovery.watch('chat'),
        context: {
          clock: new ManualClock(),
          random: () => 0.5,
          log: silentLogger,
          metrics: new Metrics(),
          tracing: new Tracing(),
          readiness: new Readiness(),
        },
      },
      { PARLEY_DELIVERY_CONVERSATIONS_MAX: 100 },
    );
    const given = new DeliveryFixture(stores, type, history, bus, frames, delivery, async (userId, server) => {
      online.get(server)?.add(userId);
      await registry.register([
        {
          workspaceId: DEFAULT_WORKSPACE,
          userId,
          deviceId: 'd' as DeviceId,
          sessionId: `${userId}-${server}` as SessionId,
          serverId: server as InstanceId,
          epoch: 1,
        },
      ]);
    });
    const member = await frames.attach('chat-1' as InstanceId, (_room, frame) => given.roomFrames.push(frame));
    await member.join(`c:${given.id}`);
    await bus.subscribe({
      topic: 'inbox',
      group: 'spec',
      handle: async (records) => void given.inbox.push(...records.map(({ value }) => value)),
    });
    return given;
  }

  /** With these members, all but the named ones connected to the first chat server. */
  async create(members: readonly UserId[], offline: readonly UserId[] = []): Promise<this> {
    await this.stores.directory.createConversation({
      workspaceId: DEFAULT_WORKSPACE,
      id: this.id,
      type: this.type,
      name: null,
      topic: null,
      visibility: 'private',
      history: this.history,
      createdBy: ANN,
      createdAt: new Date(0).toISOString(),
      members: members.map((userId) => ({ userId, role: 'member' })),
    });
    for (const userId of [ANN, BOB, CAT, DAN]) if (!offline.includes(userId)) await this.connect(userId);
    return this;
  }

  connect(userId: UserId, server = 'chat-1'): Promise<void> {
    return this.register(userId, server);
  }

  /** Appends by Ann, in one step, and gives the record that routing would publish. */
  async write(...drafts: Draft[]): Promise<MessagesRecord> {
    const from = this.#entries.length;
    const made = drafts.map((draft, index) => this.#place(draft, from + index + 1));
    const stored = made.map(({ entry, json, ordinal, memberSeq }) => ({ entry, json, ordinal, memberSeq }));
    const outcome = await this.stores.log.append(this.id, seq(from), stored);
    if (outcome.kind !== 'appended') throw new Error('The log has another writer');
    this.#entries.push(...made);
    return this.record(made);
  }

  record(entries: readonly PublishedEntry[] = this.#entries): MessagesRecord {
    const { id: conversationId, type, history } = this;
    return { workspaceId: DEFAULT_WORKSPACE, conversationId, type, history, entries };
  }

  async say(...drafts: Draft[]): Promise<void> {
    await this.delivery.consume([await this.write(...drafts)]);
  }

  /** What a user's sessions were sent by name: event, and the position of the entry. */
  receivedBy(userId: UserId): string[] {
    return this.pushed
      .filter(({ push }) => push.userIds.includes(userId))
      .flatMap(({ push }) => push.frames.map(labelOf));
  }

  get inboxed(): string[] {
    return this.inbox.map(({ userId, seq: at, reason }) => `${userId} ${at} ${reason}`);
  }

  #place(draft: Draft, at: number): PublishedEntry {
    const entry = {
      conversationId: this.id,
      seq: seq(at),
      id: entryId(this.id, at),
      senderId: ANN,
      sentAt: new Date(at * 1_000).toISOString(),
      ...(draft.kind === 'message' || draft.kind === 'edit' ? { content: { type: 'text', text: `${at}` } } : {}),
      ...draft,
    } as LogEntry;
    const prevMemberSeq = this.#memberSeq;
    if (entry.kind === 'message') this.#ordinal += 1;
    if (entry.kind === 'member') this.#memberSeq = entry.seq;
    const json = JSON.stringify(entry);
    return { entry, json, ordinal: this.#ordinal, memberSeq: this.#memberSeq, prevMemberSeq, receivedAtMs: 0 };
  }
}

export function labelOf({ event, data }: { readonly event: string; readonly data: string }): string {
  const { seq: at, parentSeq } = JSON.parse(data) as { seq?: number; parentSeq?: number };
  return [event, event === 'thread.updated' ? parentSeq : at].filter((part) => part !== undefined).join(' ');
}

/** The directory as delivery asks for it: never behind the position that is asked for. */
function linkOf({ directory, log }: Stores, asked: () => void): DirectoryLink {
  const upTo = async (id: ConversationId, atLeast: Seq): Promise<Seq> => {
    const facts = await directory.conversation(id);
    if (facts === null || facts.appliedSeq >= atLeast) return facts?.appliedSeq ?? seq(0);
    const missed = await log.read(id, { after: facts.appliedSeq, upTo: atLeast, limit: READ_MAX_ENTRIES });
    const entries = missed.map(({ entry }) => entry);
    const applied = await directory.applyEntries(id, entries, { from: facts.appliedSeq, upTo: atLeast });
    return applied?.appliedSeq ?? seq(0);
  };
  const unused = (): never => {
    throw new Error('Delivery does not ask for this');
  };
  return {
    conversation: (id) => directory.conversation(id),
    memberships: async (id, userIds, atLeast) => ({
      appliedSeq: await upTo(id, atLeast),
      members: await directory.memberships(id, userIds),
    }),
    async allMemberships(id, atLeast) {
      asked();
      return { appliedSeq: await upTo(id, atLeast), members: await directory.allMemberships(id) };
    },
    channelsOf: unused,
    acquainted: unused,
    sync: unused,
    mark: unused,
    async conversationFor({ userId }, id) {
      await upTo(id, (await log.head(id)).memberSeq);
      return (await directory.membershipOf(userId, id)) === null ? null : { id };
    },
  };
}
