import { SERVER_EVENTS } from '@parley/contracts';

const WAIT_MS = 5_000;
const EVENTS_MAX = 100_000;

export interface Received {
  readonly event: string;
  readonly data: Record<string, unknown>;
  /** The stream's cursor after it; sockets have none. */
  readonly cursor?: string;
}

type Matches = (data: Record<string, unknown>) => boolean;

/** Everything that one session received, in order, and who waits for what. */
export class Recorder {
  readonly events: Received[] = [];
  /** Payloads that are not what the contract says. */
  readonly violations: string[] = [];
  readonly #taken = new Set<Received>();
  readonly #waiting = new Set<() => void>();

  constructor(private readonly name: string) {}

  push(received: Received): void {
    if (this.events.length >= EVENTS_MAX) throw new RangeError(`${this.name} received more than a test may`);
    this.events.push(received);
    this.#check(received);
    for (const look of [...this.#waiting]) look();
  }

  /** The next event of this name that matches and that nobody was given before; fails with what did arrive. */
  next(event: string, matches: Matches = () => true, withinMs = WAIT_MS): Promise<Record<string, unknown>> {
    const find = (): Received | undefined =>
      this.events.find((each) => each.event === event && !this.#taken.has(each) && matches(each.data));
    return this.#wait(find, `${event} ${matches.toString()}`, withinMs).then((found) => {
      this.#taken.add(found);
      return found.data;
    });
  }

  /** Resolves once the condition on everything received holds. */
  async until(what: string, holds: (events: readonly Received[]) => boolean, withinMs = WAIT_MS): Promise<void> {
    await this.#wait(() => (holds(this.events) ? true : undefined), what, withinMs);
  }

  /** Payloads of all events of a name so far. */
  all(event: string): readonly Record<string, unknown>[] {
    return this.events.filter((each) => each.event === event).map(({ data }) => data);
  }

  /** Log entries received so far for a conversation, by `seq`, in order of arrival. */
  seqs(conversationId: string): readonly number[] {
    return this.events.flatMap(({ data }) =>
      data['conversationId'] === conversationId && typeof data['seq'] === 'number' && 'kind' in data
        ? [data['seq']]
        : [],
    );
  }

  #wait<T>(find: () => T | undefined, what: string, withinMs: number): Promise<T> {
    const stack = new Error().stack;
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const found = find();
        if (found === undefined) return;
        this.#waiting.delete(look);
        clearTimeout(late);
        resolve(found);
      };
      const late = setTimeout(() => {
        this.#waiting.delete(look);
        const arrived = this.events
          .slice(-30)
          .map(({ event, data }) => `  ${event} ${JSON.stringify(data).slice(0, 160)}`);
        const failure = new Error(`${this.name} waited ${withinMs} ms for ${what}; arrived:\n${arrived.join('\n')}`);
        reject(Object.assign(failure, { stack: `${failure.message}\n${stack ?? ''}` }));
      }, withinMs);
      this.#waiting.add(look);
      look();
    });
  }

  #check({ event, data }: Received): void {
    if (!Object.hasOwn(SERVER_EVENTS, event)) {
      this.violations.push(`${this.name}: there is no event ${event}`);
      return;
    }
    const { success, error } = SERVER_EVENTS[event as keyof typeof SERVER_EVENTS].payload.safeParse(data);
    if (!success) this.violations.push(`${this.name}: ${event} ${JSON.stringify(data)}: ${error.message}`);
  }
}

/** Waits for a condition that nothing announces; fails with the last answer. */
export async function eventually<T>(
  ask: () => Promise<T>,
  holds: (answer: T) => boolean,
  withinMs = WAIT_MS,
): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (holds(answer)) return answer;
    if (performance.now() > deadline) throw new Error(`Not within ${withinMs} ms; last: ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
