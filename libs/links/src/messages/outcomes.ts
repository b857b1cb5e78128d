import { type CommandOutcome, type LogEntry, seq } from '@parley/contracts';

import type * as wire from '../generated/parley/v1/routing.js';
import { jsonBytes, parsed, required } from './fields.js';
import { refusalFromMessage, refusalToMessage } from './refusals.js';

export function outcomeToMessage(outcome: CommandOutcome): wire.CommandOutcome {
  switch (outcome.kind) {
    case 'accepted':
    case 'duplicate': {
      const value = { entry: jsonBytes(outcome.entry), seq: outcome.entry.seq };
      return { kind: { $case: outcome.kind, value } };
    }
    case 'unchanged':
      return { kind: { $case: 'unchanged', value: { seq: outcome.seq } } };
    case 'refused':
      return { kind: { $case: 'refused', value: refusalToMessage(outcome.refusal) } };
  }
}

export function outcomeFromMessage(message: wire.CommandOutcome): CommandOutcome {
  const kind = required(message.kind, 'outcome');
  switch (kind.$case) {
    case 'accepted':
    case 'duplicate':
      return { kind: kind.$case, entry: parsed(kind.value.entry) as LogEntry };
    case 'unchanged':
      return { kind: 'unchanged', seq: seq(kind.value.seq) };
    case 'refused':
      return { kind: 'refused', refusal: refusalFromMessage(kind.value) };
  }
}
