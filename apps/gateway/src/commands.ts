import {
  type CommandBody,
  type CommandOutcome,
  type ConversationId,
  ParleyError,
  type RoutingLink,
} from '@parley/contracts';

import type { HandlerContext } from './http-api.js';

type Accepted = Exclude<CommandOutcome, { readonly kind: 'refused' }>;

/** Has routing accept something for a REST caller; a refusal becomes the answer. */
export async function submit(
  routing: RoutingLink,
  { caller: { workspaceId, userId }, requestId, receivedAtMs, traceparent }: HandlerContext,
  conversationId: ConversationId,
  body: CommandBody,
): Promise<Accepted> {
  const outcome = await routing.submit({
    actor: { workspaceId, userId },
    conversationId,
    context: { requestId, receivedAtMs, ...(traceparent === undefined ? {} : { traceparent }) },
    body,
  });
  if (outcome.kind === 'refused') throw ParleyError.from(outcome.refusal);
  return outcome;
}

/** Position of the entry that makes it so. */
export function seqOf(outcome: Accepted) {
  return outcome.kind === 'unchanged' ? outcome.seq : outcome.entry.seq;
}
