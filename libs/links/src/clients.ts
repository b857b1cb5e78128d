import {
  type Actor,
  type Command,
  type CommandBody,
  type ConversationId,
  type DeliveryLink,
  type DirectoryLink,
  type InstanceId,
  isUnavailable,
  type MessagesRecord,
  type PresenceLink,
  type RoutingLink,
  type Seq,
} from '@parley/contracts';
import type { Watch } from '@parley/discovery';
import QuickLRU from 'quick-lru';

import { ATTEMPT_TIMING, type AttemptTiming, Instances } from './instances.js';
import type { Links } from './links.js';

/**
 * Affinity: every chat server and gateway sends a conversation's commands to the same routing instance (rendezvous
 * hash over the live ones), which can therefore batch them. If it does not answer, the next in hash order does; the
 * log's compare keeps both honest.
 */
export function routingClient(watch: Watch, links: Links, timing?: AttemptTiming): RoutingLink {
  const instances = new Instances('routing', watch, timing);
  return {
    submit: (command: Command) =>
      instances.ask(command.conversationId, repeatable(command.body), ({ address }) =>
        links.connect('routing', address).submit(command),
      ),
  };
}

/**
 * Whether a command whose outcome is unknown may be submitted again: if it was accepted the first time, the second has
 * to say so too (`decide.ts` of routing). A message is known by its client id, most others are `unchanged` then, an
 * edit appends the same text once more. Whoever left, removed, deleted or ended something would be told that it does
 * not exist: that is for the person to see, after `unavailable`.
 */
export function repeatable(body: CommandBody): boolean {
  switch (body.kind) {
    case 'message':
    case 'edit':
    case 'reaction':
    case 'pin':
    case 'join':
      return true;
    case 'member':
      return body.op === 'added';
    case 'settings':
      return body.changes.deleted !== true;
    case 'delete':
    case 'leave':
      return false;
  }
}

/** Any gateway serves the directory; the caller's own conversation decides which, so that its caches are warm. */
export function directoryClient(watch: Watch, links: Links, timing?: AttemptTiming): DirectoryLink {
  const instances = new Instances('gateway', watch, timing);
  // Reads, and marks, which only move forward.
  const on = <T>(key: string, call: (directory: DirectoryLink) => Promise<T>): Promise<T> =>
    instances.ask(key, true, ({ address }) => call(links.connect('directory', address)));
  return {
    conversation: (id) => on(id, (directory) => directory.conversation(id)),
    memberships: (id, userIds, atLeast) => on(id, (directory) => directory.memberships(id, userIds, atLeast)),
    allMemberships: (id, atLeast) => on(id, (directory) => directory.allMemberships(id, atLeast)),
    channelsOf: (actor: Actor) => on(actor.userId, (directory) => directory.channelsOf(actor)),
    acquainted: (actor, userIds) => on(actor.userId, (directory) => directory.acquainted(actor, userIds)),
    sync: (actor, body) => on(actor.userId, (directory) => directory.sync(actor, body)),
    mark: (actor, mark, origin) => on(mark.conversationId, (directory) => directory.mark(actor, mark, origin)),
    conversationFor: (actor, id) => on(id, (directory) => directory.conversationFor(actor, id)),
  };
}

/** Any presence instance takes any beat; one chat server keeps to one of them. */
export function presenceClient(watch: Watch, links: Links, timing?: AttemptTiming): PresenceLink {
  const instances = new Instances('presence', watch, timing);
  const on = <T>(key: string, call: (presence: PresenceLink) => Promise<T>): Promise<T> =>
    instances.ask(key, true, ({ address }) => call(links.connect('presence', address)));
  return {
    beat: (serverId: InstanceId, epoch, beats) => on(serverId, (presence) => presence.beat(serverId, epoch, beats)),
    get: (workspaceId, userIds) => on(userIds[0] ?? workspaceId, (presence) => presence.get(workspaceId, userIds)),
  };
}

/** Who delivered a conversation last is asked for at most this often. */
const OWNER_KNOWN_MS = 10_000;
const OWNERS_MAX = 10_000;

/**
 * Each conversation's records go to the instance that delivered it last, which knows what it expects next of it and
 * keeps its order; where none does, or it does not answer, to one by rendezvous hash.
 */
export function deliveryClient(
  watch: Watch,
  links: Links,
  timing: AttemptTiming = ATTEMPT_TIMING,
): Pick<DeliveryLink, 'deliver'> {
  const instances = new Instances('delivery', watch, timing);
  const owners = new QuickLRU<ConversationId, string | null>({ maxSize: OWNERS_MAX, maxAge: OWNER_KNOWN_MS });

  async function deliverOne(conversationId: ConversationId, records: readonly MessagesRecord[]): Promise<void> {
    const owner = owners.get(conversationId) ?? (await findOwner(conversationId));
    if (owner !== null) {
      try {
        await links.connect('delivery', owner).deliver(records);
        return;
      } catch (error) {
        if (!isUnavailable(error)) throw error;
        owners.set(conversationId, null);
      }
    }
    await instances.ask(conversationId, true, ({ address }) => links.connect('delivery', address).deliver(records));
  }

  async function findOwner(conversationId: ConversationId): Promise<string | null> {
    let owner: string | null = null;
    let furthest = 0;
    await Promise.all(
      watch.instances().map(async ({ address }) => {
        const next = (await expectedAt(address, conversationId)) ?? 0;
        if (next > furthest) [owner, furthest] = [address, next];
      }),
    );
    owners.set(conversationId, owner);
    return owner;
  }

  /** An instance that does not answer owns nothing now. */
  async function expectedAt(address: string, conversationId: ConversationId): Promise<Seq | undefined> {
    try {
      return (await links.connect('delivery', address).expects([conversationId])).get(conversationId);
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      return undefined;
    }
  }

  return {
    async deliver(records) {
      const byConversation = new Map<ConversationId, MessagesRecord[]>();
      for (const record of records) {
        const of = byConversation.get(record.conversationId);
        if (of === undefined) byConversation.set(record.conversationId, [record]);
        else of.push(record);
      }
      await Promise.all([...byConversation].map(([conversationId, own]) => deliverOne(conversationId, own)));
    },
  };
}
