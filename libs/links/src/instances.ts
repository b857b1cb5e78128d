import { isUnavailable, ParleyError } from '@parley/contracts';
import { type Instance, rank, type Watch } from '@parley/discovery';

import { LinkDown } from './links.js';

/** Instances that are asked for one call. */
const ATTEMPTS_MAX = 3;

export interface AttemptTiming {
  readonly nowMs: () => number;
  /** Calls back once; returns what cancels it. */
  readonly after: (delayMs: number, callback: () => void) => () => void;
  /** An instance that says nothing for this long while it is asked is passed over. */
  readonly silentAfterMs: number;
  /** For this long it is asked last; then one call tries it again. */
  readonly suspectMs: number;
}

export const ATTEMPT_TIMING: AttemptTiming = {
  nowMs: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
  silentAfterMs: 800,
  suspectMs: 5_000,
};

interface Health {
  heardMs: number;
  suspectUntilMs: number;
}

/**
 * Asks the instances of a service, by rendezvous hash of a key, until one answers; the last refusal stands.
 *
 * A process that is stopped, or a machine that is cut off, looks like one that is slow. A call that may be repeated
 * does not wait to find out: when an instance has said nothing to anyone for `silentAfterMs`, the next is asked as well,
 * and the first answer counts. An instance that answers others in the meantime is only slow, and waited for: asking
 * elsewhere too would double the load just when there is too much of it. A call that may not be repeated is asked
 * elsewhere only if it was never sent.
 */
export class Instances {
  readonly #health = new Map<string, Health>();

  constructor(
    private readonly service: string,
    private readonly watch: Watch,
    private readonly timing: AttemptTiming = ATTEMPT_TIMING,
  ) {}

  ask<T>(key: string, repeatable: boolean, call: (instance: Instance) => Promise<T>): Promise<T> {
    const known = this.watch.instances();
    const ready = known.filter(({ state }) => state === 'ready');
    const instances = ready.length > 0 ? ready : known;
    const only = instances.length === 1 ? instances[0] : undefined;
    if (only !== undefined) return attempt(call, only);
    return this.#ask(this.#inOrder(rank(key, instances)).slice(0, ATTEMPTS_MAX), repeatable, call);
  }

  #ask<T>(instances: readonly Instance[], repeatable: boolean, call: (instance: Instance) => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      let next = 0;
      let running = 0;
      let done = false;
      let refusal: unknown = new ParleyError('unavailable', `No ${this.service} instance is known`);
      const finish = (how: () => void): void => {
        done = true;
        how();
      };
      const askNext = (): void => {
        const instance = instances[next];
        if (instance === undefined) {
          if (running === 0) finish(() => reject(refusal));
          return;
        }
        next += 1;
        running += 1;
        const stopWatching =
          repeatable && next < instances.length ? this.#ifSilent(instance, () => done || askNext()) : null;
        const ended = (error: unknown): void => {
          running -= 1;
          stopWatching?.();
          this.#ended(instance, error);
        };
        attempt(call, instance).then(
          (answer) => {
            ended(null);
            if (!done) finish(() => resolve(answer));
          },
          (error: unknown) => {
            ended(error);
            if (done) return;
            if (mayAskElsewhere(error, repeatable)) {
              refusal = error;
              askNext();
            } else finish(() => reject(error));
          },
        );
      };
      askNext();
    });
  }

  /** Calls back when the instance has said nothing to anyone since now for `silentAfterMs`. */
  #ifSilent(instance: Instance, silent: () => void): () => void {
    const { nowMs, after, silentAfterMs, suspectMs } = this.timing;
    let sinceMs = nowMs();
    let cancel = (): void => undefined;
    const check = (): void => {
      const health = this.#healthOf(instance);
      if (health.heardMs < sinceMs) {
        health.suspectUntilMs = nowMs() + suspectMs;
        silent();
        return;
      }
      sinceMs = nowMs();
      cancel = after(silentAfterMs, check);
    };
    cancel = after(silentAfterMs, check);
    return () => cancel();
  }

  #ended(instance: Instance, error: unknown): void {
    const health = this.#healthOf(instance);
    const nowMs = this.timing.nowMs();
    if (error instanceof LinkDown) {
      health.suspectUntilMs = nowMs + this.timing.suspectMs;
    } else {
      health.heardMs = nowMs;
      health.suspectUntilMs = 0;
    }
  }

  /** Suspects last. When its time is over the next call tries one again, while others still leave it alone. */
  #inOrder(instances: readonly Instance[]): readonly Instance[] {
    const nowMs = this.timing.nowMs();
    const trusted: Instance[] = [];
    const suspects: Instance[] = [];
    for (const instance of instances) {
      const health = this.#health.get(instance.instanceId);
      if (health === undefined || health.suspectUntilMs === 0) trusted.push(instance);
      else if (nowMs < health.suspectUntilMs) suspects.push(instance);
      else {
        health.suspectUntilMs = nowMs + this.timing.suspectMs;
        trusted.push(instance);
      }
    }
    return suspects.length === 0 ? instances : [...trusted, ...suspects];
  }

  #healthOf({ instanceId }: Instance): Health {
    const known = this.#health.get(instanceId);
    if (known !== undefined) return known;
    const live = new Set<string>(this.watch.instances().map((instance) => instance.instanceId));
    for (const id of this.#health.keys()) if (!live.has(id)) this.#health.delete(id);
    const health = { heardMs: Number.NEGATIVE_INFINITY, suspectUntilMs: 0 };
    this.#health.set(instanceId, health);
    return health;
  }
}

function mayAskElsewhere(error: unknown, repeatable: boolean): boolean {
  if (!isUnavailable(error)) return false;
  return repeatable || (error instanceof LinkDown && !error.sent);
}

/** `connect` throws at once where it knows that nobody is there. */
async function attempt<T>(call: (instance: Instance) => Promise<T>, instance: Instance): Promise<T> {
  return await call(instance);
}
