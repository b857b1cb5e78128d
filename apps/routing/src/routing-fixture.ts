import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  type Command,
  type CommandBody,
  type CommandOutcome,
  type ConversationId,
  DEFAULT_WORKSPACE,
  type DirectoryLink,
  type LogEntry,
  type MessagesRecord,
  type Role,
  type Seq,
  seq,
  type UserId,
} from '@parley/contracts';
import { type ConversationLog, openConversationLog, READ_MAX_ENTRIES } from '@parley/conversation-log';
import { type Directory, type NewConversation, openDirectory } from '@parley/directory';
import { type EventBus, openEventBus } from '@parley/event-bus';
import { type HeadCache, openHeadCache } from '@parley/head-cache';
import { openRateLimiter } from '@parley/rate-limiter';
import {
  ManualClock,
  Metrics,
  Readiness,
  readConfig,
  type ServiceContext,
  silentLogger,
  Tracing,
} from '@parley/service-kit';

import { type RoutingConfig, routingSettings } from './config.js';
import { RoutingService } from './routing.service.js';

export const ANN = 'ann' as UserId;
export const BOB = 'bob' as UserId;
export const CAT = 'cat' as UserId;

export function testContext(clock: ManualClock): ServiceContext {
  return {
    clock,
    random: () => 0.5,
    log: silentLogger,
    metrics: new Metrics(),
    tracing: new Tracing(),
    readiness: new Readiness(),
  };
}

/** A real log and directory in a folder of their own; opened once for a file of specs, because workers start slowly. */
export interface Stores {
  readonly log: ConversationLog;
  readonly directory: Directory;
  close(): Promise<void>;
}

export async function openStores(): Promise<Stores> {
  const folder = await mkdtemp(join(tmpdir(), 'parley-routing-'));
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

let conversations = 0;
export const freshId = (): ConversationId => `c_${(conversations += 1)}` as ConversationId;

/** For specs: routing on real stores, with a bus, a conversation and a clock of its own. */
export interface RoutingFixture {
  /** The conversation that it is about. */
  readonly id: ConversationId;
  readonly link: DirectoryLink;
  readonly bus: EventBus;
  readonly clock: ManualClock;
  /** What the bus brought, in order. */
  readonly published: MessagesRecord[];
  readonly cache: HeadCache;
  /** What was given to delivery without the bus. */
  readonly direct: MessagesRecord[];
  /** A further instance on the same log, directory and bus, or on others. */
  routing(
    ports?: { log?: ConversationLog; bus?: EventBus; link?: DirectoryLink },
    env?: NodeJS.ProcessEnv,
  ): RoutingService;
  create(change?: Partial<NewConversation>, members?: Readonly<Record<string, Role>>): Promise<ConversationId>;
  entries(): Promise<readonly LogEntry[]>;
  close(): Promise<void>;
}

export async function openRouting({ log, directory }: Stores): Promise<RoutingFixture> {
  // What earlier specs left unsealed is theirs.
  for (const other of await log.unsealed(1_000)) await log.seal(other, (await log.head(other)).seq);
  const id = freshId();
  const bus = await openEventBus({ adapter: 'in-process' });
  const clock = new ManualClock();
  const link = linkOf(directory, log);
  const limiter = await openRateLimiter({ adapter: 'in-process', nowMs: () => clock.now() });
  const cache = await openHeadCache({ adapter: 'in-process' });
  const published: MessagesRecord[] = [];
  const direct: MessagesRecord[] = [];
  await bus.subscribe({
    topic: 'messages',
    group: 'spec',
    handle: async (records) => void published.push(...records.map(({ value }) => value)),
  });
  const config = (env: NodeJS.ProcessEnv): RoutingConfig =>
    readConfig(routingSettings, { PARLEY_RATE_LIMITS: 'off', ...env });
  return {
    id,
    link,
    bus,
    clock,
    published,
    direct,
    cache,
    routing: (ports = {}, env = {}) =>
      new RoutingService(
        {
          log: ports.log ?? log,
          bus: ports.bus ?? bus,
          directory: ports.link ?? link,
          writers: { name: 'routing-1@1', gone: () => true, takesUp: () => true },
          delivery: { deliver: async (records) => void direct.push(...records) },
          limiter,
          headCache: cache,
          context: testContext(clock),
          later: (callback) => callback(),
        },
        config(env),
      ),
    async create(change = {}, members = { ann: 'owner', bob: 'member' }) {
      const { conversation } = await directory.createConversation({
        workspaceId: DEFAULT_WORKSPACE,
        id,
        type: 'group',
        name: null,
        topic: null,
        visibility: 'private',
        history: 'joined',
        createdBy: ANN,
        createdAt: new Date(clock.now()).toISOString(),
        members: Object.entries(members).map(([userId, role]) => ({ userId: userId as UserId, role })),
        ...change,
      });
      return conversation.id;
    },
    entries: async () => (await readAll(log, id)).map(({ entry }) => entry),
    close: () => bus.close(),
  };
}

async function readAll(log: ConversationLog, id: ConversationId) {
  const found: Awaited<ReturnType<ConversationLog['read']>>[number][] = [];
  for (let after: Seq = seq(0); ;) {
    const page = await log.read(id, { after, limit: READ_MAX_ENTRIES });
    found.push(...page);
    const last = page.at(-1);
    if (last === undefined) return found;
    after = last.entry.seq;
  }
}

/** The directory as routing asks for it: never behind the position that is asked for. */
function linkOf(directory: Directory, log: ConversationLog): DirectoryLink {
  const upTo = async (id: ConversationId, atLeast: Seq): Promise<Seq> => {
    const facts = await directory.conversation(id);
    if (facts === null || facts.appliedSeq >= atLeast) return facts?.appliedSeq ?? seq(0);
    const missed = await log.read(id, { after: facts.appliedSeq, upTo: atLeast, limit: READ_MAX_ENTRIES });
    const applied = await directory.applyEntries(
      id,
      missed.map(({ entry }) => entry),
      { from: facts.appliedSeq, upTo: atLeast },
    );
    return applied?.appliedSeq ?? seq(0);
  };
  const unused = (): never => {
    throw new Error('Routing does not ask for this');
  };
  return {
    conversation: (id) => directory.conversation(id),
    memberships: async (id, userIds, atLeast) => ({
      appliedSeq: await upTo(id, atLeast),
      members: await directory.memberships(id, userIds),
    }),
    allMemberships: async (id, atLeast) => ({
      appliedSeq: await upTo(id, atLeast),
      members: await directory.allMemberships(id),
    }),
    channelsOf: unused,
    acquainted: unused,
    sync: unused,
    mark: unused,
    conversationFor: unused,
  };
}

export function commandTo(conversationId: ConversationId, body: CommandBody, by: UserId): Command {
  return {
    actor: { workspaceId: DEFAULT_WORKSPACE, userId: by },
    conversationId,
    context: { requestId: 'r1', receivedAtMs: 0 },
    body,
  };
}
export const say = (clientId: string, text = clientId) =>
  ({ kind: 'message', clientId, content: { type: 'text', text } }) as const satisfies CommandBody;

export function acceptedSeq(outcome: CommandOutcome): number {
  if (outcome.kind === 'refused') throw new Error(`refused: ${outcome.refusal.code} ${outcome.refusal.message}`);
  return outcome.kind === 'unchanged' ? outcome.seq : outcome.entry.seq;
}
export const codeOf = (outcome: CommandOutcome): string =>
  outcome.kind === 'refused' ? outcome.refusal.code : outcome.kind;

/** Positions without a hole or a repetition, and no client id twice. */
export function checkDense(entries: readonly LogEntry[]): void {
  entries.forEach((entry, index) => {
    if (entry.seq !== index + 1) throw new Error(`entry ${index + 1} has seq ${entry.seq}`);
  });
  const keys = entries.flatMap((entry) => (entry.kind === 'message' ? [`${entry.senderId} ${entry.clientId}`] : []));
  if (new Set(keys).size !== keys.length) throw new Error('a client id is there twice');
}
