import type { ConversationId, InstanceId } from '@parley/contracts';
import { rank, type Watch } from '@parley/discovery';

/**
 * Who appends to the logs: instances of routing, each under a name for one epoch of its lease. By the names in the
 * log's journal the others find what an instance left behind that did not live to publish it.
 */
export class Writers {
  constructor(
    private readonly self: { readonly instanceId: InstanceId; readonly epoch: () => number },
    private readonly instances: Watch,
  ) {}

  /** This instance in this epoch. */
  get name(): string {
    return `${this.self.instanceId}@${this.self.epoch()}`;
  }

  /** Neither this one nor on the list: its lease ended, or it came back under another epoch. */
  gone(writer: string): boolean {
    if (writer === this.name) return false;
    return !this.instances.instances().some(({ instanceId, epoch }) => writer === `${instanceId}@${epoch}`);
  }

  /** What several could take up is taken up by the one that the next command for it goes to anyway. */
  takesUp(conversationId: ConversationId): boolean {
    const [first] = rank(conversationId, this.instances.instances());
    return first === undefined || first.instanceId === this.self.instanceId;
  }
}
