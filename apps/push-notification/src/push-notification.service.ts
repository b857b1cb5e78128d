import type { EventBus, Subscription } from '@parley/event-bus';
import type { ServiceContext } from '@parley/service-kit';

export interface PushNotificationPorts {
  readonly bus: EventBus;
  readonly context: ServiceContext;
}

/**
 * Reads the inbox of people who had no live session. No device can be registered yet (`PUT /v1/devices`), so each
 * record is decided the same way: nobody to notify. The decision is counted, by reason, where the platform sees it.
 */
export class PushNotificationService {
  readonly #decisions;
  #subscription: Subscription | undefined;

  constructor(private readonly ports: PushNotificationPorts) {
    this.#decisions = ports.context.metrics.counter(
      'parley_push_decisions_total',
      'Inbox records by what became of them',
      ['reason', 'decision'],
    );
  }

  async start(): Promise<void> {
    this.#subscription = await this.ports.bus.subscribe({
      topic: 'inbox',
      group: 'push-notification',
      handle: async (records) => {
        for (const { value } of records) this.#decisions.inc({ reason: value.reason, decision: 'no_device' });
      },
    });
  }

  async stop(): Promise<void> {
    await this.#subscription?.close();
  }
}
