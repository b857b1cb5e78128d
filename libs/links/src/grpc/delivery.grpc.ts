import {
  type ConversationId,
  type DeliveryLink,
  type MessagesRecord,
  type PublishedEntry,
  type Seq,
  seq,
} from '@parley/contracts';

import {
  DeliverRequest,
  DeliverResponse,
  DeliveryServiceService,
  NumberedDelivered,
  NumberedDelivery,
} from '../generated/parley/v1/delivery.js';
import { recordFromMessage, recordToMessage } from '../messages/records.js';
import { refusalFromMessage, refusalToMessage } from '../messages/refusals.js';
import { chunks } from './chunks.js';
import type { Deadlines, LinkBounds } from './config.js';
import type { ServiceBuilder } from './link-server.js';
import type { Peer } from './peer.js';
import { failedOr, type StreamMethod } from './stream-method.js';

const DELIVER: StreamMethod<readonly MessagesRecord[], void> = {
  path: DeliveryServiceService.deliver.path,
  batched: true,
  encodeCall: (call, records) => NumberedDelivery.encode({ call, records: records.map(recordToMessage) }).finish(),
  decodeCalls: (message) =>
    DeliverRequest.decode(message).deliveries.map(({ call, records }) => ({
      call,
      request: records.map(recordFromMessage),
    })),
  encodeAnswer: (answer) =>
    NumberedDelivered.encode({
      call: answer.call,
      failed: answer.ok ? undefined : refusalToMessage(answer.refusal),
    }).finish(),
  decodeAnswers: (message) =>
    DeliverResponse.decode(message).delivered.map(({ call, failed }) =>
      failedOr(call, failed && refusalFromMessage(failed), () => undefined),
    ),
};

const entryBytes = ({ json }: PublishedEntry): number => Buffer.byteLength(json) + 192;
const recordBytes = ({ entries }: MessagesRecord): number =>
  entries.reduce((bytes, entry) => bytes + entryBytes(entry), 192);

/** A record with hundreds of long entries would be larger than a message may be; its parts say the same in turn. */
function split(record: MessagesRecord, maxBytes: number): readonly MessagesRecord[] {
  if (recordBytes(record) <= maxBytes) return [record];
  return chunks(record.entries, entryBytes, maxBytes).map((entries) => ({ ...record, entries }));
}

export function serveDelivery(service: DeliveryLink, builder: ServiceBuilder): void {
  builder.numbered(DELIVER, (records) => service.deliver(records));
  builder.unary(DeliveryServiceService.expects, async ({ conversationIds }) => ({
    next: Object.fromEntries(await service.expects(conversationIds as ConversationId[])),
  }));
}

export function connectDelivery(
  peer: () => Peer,
  { deliverMs }: Deadlines,
  { batchMaxBytes }: LinkBounds,
): DeliveryLink {
  return {
    async deliver(records) {
      const parts = chunks(
        records.flatMap((record) => split(record, batchMaxBytes)),
        recordBytes,
        batchMaxBytes,
      );
      // One after the other: entries of a conversation are delivered in their order.
      for (const part of parts) await peer().numbered('delivery', DELIVER, deliverMs, part);
    },
    async expects(conversationIds) {
      const request = { conversationIds: [...conversationIds] };
      const { next } = await peer().unary('delivery', DeliveryServiceService.expects, request);
      return new Map<ConversationId, Seq>(Object.entries(next).map(([id, at]) => [id as ConversationId, seq(at)]));
    },
  };
}
