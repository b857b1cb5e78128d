import type { Command, CommandOutcome, RoutingLink } from '@parley/contracts';

import {
  NumberedCommand,
  NumberedOutcome,
  RoutingServiceService,
  SubmitRequest,
  SubmitResponse,
} from '../generated/parley/v1/routing.js';
import { commandFromMessage, commandToMessage } from '../messages/commands.js';
import { required } from '../messages/fields.js';
import { outcomeFromMessage, outcomeToMessage } from '../messages/outcomes.js';
import { refusalFromMessage, refusalToMessage } from '../messages/refusals.js';
import type { Deadlines } from './config.js';
import type { ServiceBuilder } from './link-server.js';
import type { Peer } from './peer.js';
import { failedOr, type StreamMethod } from './stream-method.js';

const SUBMIT: StreamMethod<Command, CommandOutcome> = {
  path: RoutingServiceService.submit.path,
  batched: true,
  encodeCall: (call, command) => NumberedCommand.encode({ call, command: commandToMessage(command) }).finish(),
  decodeCalls: (message) =>
    SubmitRequest.decode(message).commands.map(({ call, command }) => ({
      call,
      request: commandFromMessage(required(command, 'command')),
    })),
  encodeAnswer: ({ call, ...answer }) =>
    NumberedOutcome.encode({
      call,
      outcome: answer.ok ? outcomeToMessage(answer.value) : undefined,
      failed: answer.ok ? undefined : refusalToMessage(answer.refusal),
    }).finish(),
  decodeAnswers: (message) =>
    SubmitResponse.decode(message).outcomes.map(({ call, outcome, failed }) =>
      failedOr(call, failed && refusalFromMessage(failed), () => outcomeFromMessage(required(outcome, 'outcome'))),
    ),
};

export function serveRouting(service: RoutingLink, builder: ServiceBuilder): void {
  builder.numbered(SUBMIT, (command) => service.submit(command));
}

export function connectRouting(peer: () => Peer, { submitMs }: Deadlines): RoutingLink {
  return { submit: async (command) => peer().numbered('routing', SUBMIT, submitMs, command) };
}
