import { type DirectoryRecord, isPassing } from '@parley/contracts';
import type { EventBus } from '@parley/event-bus';
import type { ServiceContext, Timer } from '@parley/service-kit';

const RETRY_EVERY_MS = 1_000;
/** Announcements that wait for the bus; beyond, the oldest is dropped: what it announces is in the directory. */
const WAITING_MAX = 10_000;

/**
 * Tells the others what changed in the directory. What is announced has happened already: while the bus is away nobody
 * is refused for it, and the announcement follows when the bus is back, in order.
 */
export class Announcer {
  readonly #waiting: DirectoryRecord[] = [];
  #retry: Timer | undefined;

  constructor(
    private readonly bus: EventBus,
    private readonly context: Pick<ServiceContext, 'clock' | 'log'>,
  ) {}

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Resolves when the bus has it, or it waits for the bus. */
  async announce(record: DirectoryRecord): Promise<void> {
    if (this.#waiting.length === 0 && (await this.#publish(record))) return;
    this.#waiting.push(record);
    if (this.#waiting.length > WAITING_MAX) {
      this.#waiting.shift();
      this.context.log.error('an announcement was dropped: too many wait for the bus');
    }
    this.#retry ??= this.context.clock.every(RETRY_EVERY_MS, () => void this.flush());
  }

  /** Publishes what waits, as far as the bus takes it. */
  async flush(): Promise<void> {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (!(await this.#publish(next))) return;
      if (this.#waiting[0] === next) this.#waiting.shift();
    }
    this.#retry?.cancel();
    this.#retry = undefined;
  }

  async close(): Promise<void> {
    await this.flush();
    this.#retry?.cancel();
  }

  async #publish(record: DirectoryRecord): Promise<boolean> {
    try {
      await this.bus.publish('directory', [{ key: keyOf(record), value: record }]);
      return true;
    } catch (error) {
      if (!isPassing(error)) throw error;
      this.context.log.warn({ err: error, kind: record.kind }, 'an announcement waits for the bus');
      return false;
    }
  }
}

function keyOf(record: DirectoryRecord): string {
  return record.kind === 'session.ended' ? record.userId : record.conversation.id;
}
