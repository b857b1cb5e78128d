import type { InstanceId, PresenceLink, UserId, WorkspaceId } from '@parley/contracts';

import { PresenceServiceService as METHODS } from '../generated/parley/v1/presence.js';
import { beatFromMessage, beatToMessage, presenceFromMessage, presenceToMessage } from '../messages/presence.js';
import type { ServiceBuilder } from './link-server.js';
import type { Peer } from './peer.js';

export function servePresence(service: PresenceLink, builder: ServiceBuilder): void {
  builder.unary(METHODS.beat, async ({ serverId, epoch, beats }) => {
    await service.beat(serverId as InstanceId, epoch, beats.map(beatFromMessage));
    return {};
  });
  builder.unary(METHODS.get, async ({ workspaceId, userIds }) => ({
    presences: (await service.get(workspaceId as WorkspaceId, userIds as UserId[])).map(presenceToMessage),
  }));
}

export function connectPresence(peer: () => Peer): PresenceLink {
  return {
    async beat(serverId, epoch, beats) {
      await peer().unary('presence', METHODS.beat, { serverId, epoch, beats: beats.map(beatToMessage) });
    },
    async get(workspaceId, userIds) {
      const { presences } = await peer().unary('presence', METHODS.get, { workspaceId, userIds: [...userIds] });
      return presences.map(presenceFromMessage);
    },
  };
}
