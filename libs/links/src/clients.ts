import {
  type Actor,
  type Command,
  type CommandOutcome,
  type DirectoryLink,
  type InstanceId,
  ParleyError,
  type PresenceLink,
  type RoutingLink,
} from '@parley/contracts';
import { type Instance, rank, type Watch } from '@parley/discovery';

import type { Links } from './links.js';

const serving = (watch: Watch): readonly Instance[] => {
  const instances = watch.instances();
  const ready = instances.filter(({ state }) => state === 'ready');
  return ready.length > 0 ? ready : instances;
};

const unavailable = (error: unknown): boolean => error instanceof ParleyError && error.code === 'unavailable';

/** Tries instances in order until one answers; the last refusal stands. */
async function firstThatAnswers<T>(
  what: string,
  instances: readonly Instance[],
  call: (instance: Instance) => Promise<T>,
): Promise<T> {
  let refusal: unknown = new ParleyError('unavailable', `No ${what} instance is known`);
  for (const instance of instances.slice(0, 3)) {
    try {
      return await call(instance);
    } catch (error) {
      if (!unavailable(error)) throw error;
      refusal = error;
    }
  }
  throw refusal;
}

/**
 * Affinity: every chat server and gateway sends a conversation's commands to the same routing instance (rendezvous
 * hash over the live ones), which can therefore batch them. If it does not answer, the next in hash order does; the
 * log's compare keeps both honest.
 */
export function routingClient(watch: Watch, links: Links): RoutingLink {
  return {
    submit(command: Command): Promise<CommandOutcome> {
      const instances = serving(watch);
      const only = instances.length === 1 ? instances[0] : undefined;
      if (only !== undefined) return links.connect('routing', only.address).submit(command);
      return firstThatAnswers('routing', rank(command.conversationId, instances), (instance) =>
        links.connect('routing', instance.address).submit(command),
      );
    },
  };
}

/** Any gateway serves the directory; the caller's own conversation decides which, so that its caches are warm. */
export function directoryClient(watch: Watch, links: Links): DirectoryLink {
  const on = <T>(key: string, call: (directory: DirectoryLink) => Promise<T>): Promise<T> =>
    firstThatAnswers('gateway', rank(key, serving(watch)), (instance) =>
      call(links.connect('directory', instance.address)),
    );
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
export function presenceClient(watch: Watch, links: Links): PresenceLink {
  const on = <T>(key: string, call: (presence: PresenceLink) => Promise<T>): Promise<T> =>
    firstThatAnswers('presence', rank(key, serving(watch)), (instance) =>
      call(links.connect('presence', instance.address)),
    );
  return {
    beat: (serverId: InstanceId, epoch, beats) => on(serverId, (presence) => presence.beat(serverId, epoch, beats)),
    get: (workspaceId, userIds) => on(userIds[0] ?? workspaceId, (presence) => presence.get(workspaceId, userIds)),
  };
}
