import { isUnavailable, ParleyError } from '@parley/contracts';
import { castGrpcError, Etcd3, GRPCGenericError, type IOptions, isRecoverableError } from 'etcd3';

export interface EtcdConnectionConfig {
  /** `http://host:port` or `https://host:port`, all of one cluster. */
  readonly endpoints: readonly string[];
  readonly credentials?: { readonly username: string; readonly password: string };
  /** For a private authority and client certificates (PEM); an `https` endpoint without it uses the system's. */
  readonly tls?: { readonly ca: Buffer; readonly certificate?: Buffer; readonly key?: Buffer };
  /** Every call ends within this, whatever etcd does. */
  readonly callTimeoutMs?: number;
  readonly nowMs?: () => number;
}

const CALL_TIMEOUT_MS = 2_000;
const RETRY_FIRST_MS = 100;
const RETRY_MAX_MS = 2_000;

const CHANNEL = {
  // A peer that vanished without a word (power, network) is found by a ping; etcd closes connections that ping more
  // often than every 5 s.
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 3_000,
  // The default lets two minutes pass before a server that is back is tried again.
  'grpc.initial_reconnect_backoff_ms': 200,
  'grpc.max_reconnect_backoff_ms': 1_000,
} as const;

type Policy = NonNullable<NonNullable<IOptions['faultHandling']>['global']>;

/**
 * Instead of etcd3's own retries and circuit breaker: those retry without a deadline and refuse calls for 5 s after three
 * failures, also when etcd is back. Retrying is decided here, in one place.
 */
const NO_POLICY = {
  onSuccess: () => ({ dispose: () => undefined }),
  onFailure: () => ({ dispose: () => undefined }),
  execute: async (call: (context: { signal: AbortSignal }) => unknown) =>
    call({ signal: new AbortController().signal }),
} as unknown as Policy;

export interface CallOptions {
  /** By this machine's clock, in milliseconds since the epoch. */
  readonly deadline: number;
}

/**
 * An etcd cluster. One client an endpoint, of which one is used until it fails: so which endpoint is tried next is known,
 * and a call has one deadline over all attempts.
 */
export class EtcdConnection {
  readonly #clients: readonly Etcd3[];
  readonly #callTimeoutMs: number;
  readonly #nowMs: () => number;
  #at = 0;
  #away = false;
  #awayUntilMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(readonly config: EtcdConnectionConfig) {
    if (config.endpoints.length === 0) throw new Error('discovery.endpoints: at least one etcd endpoint is needed');
    this.#callTimeoutMs = config.callTimeoutMs ?? CALL_TIMEOUT_MS;
    this.#nowMs = config.nowMs ?? Date.now;
    this.#clients = config.endpoints.map((endpoint) => new Etcd3(optionsOf(endpoint, config, this.#callTimeoutMs)));
  }

  get name(): string {
    return `etcd at ${this.config.endpoints.join(', ')}`;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get client(): Etcd3 {
    return this.#clientAt(this.#at);
  }

  /** Answers, or rejects with `unavailable` within the call timeout; what etcd itself refuses is thrown as it came. */
  async call<T>(run: (client: Etcd3, options: CallOptions) => Promise<T>): Promise<T> {
    const endMs = Date.now() + this.#callTimeoutMs;
    let failure: unknown;
    for (let attempt = 0; attempt < this.#clients.length && Date.now() < endMs && !this.#closed; attempt += 1) {
      const at = this.#at;
      // A silent endpoint must leave time for the next one.
      const share = this.#clients.length === 1 ? endMs : Math.min(endMs, Date.now() + this.#callTimeoutMs / 2);
      try {
        const answer = await before(share, run(this.#clientAt(at), { deadline: share }));
        this.#answered();
        return answer;
      } catch (error) {
        if (!isAway(error)) {
          this.#answered();
          throw error;
        }
        failure = error;
        if (this.#at === at) this.#at = (at + 1) % this.#clients.length;
      }
    }
    this.broke();
    const why = this.#closed ? 'the discovery was closed' : messageOf(failure);
    throw new ParleyError('unavailable', `${this.name} does not answer: ${why}`);
  }

  /** As `call`, again and again until `timeoutMs` are over: for what a service cannot start without. */
  async persist<T>(timeoutMs: number, run: () => Promise<T>): Promise<T> {
    const endMs = Date.now() + timeoutMs;
    for (let pauseMs = RETRY_FIRST_MS; ; pauseMs = Math.min(RETRY_MAX_MS, 2 * pauseMs)) {
      try {
        return await run();
      } catch (error) {
        if (!isUnavailable(error)) throw error;
        if (this.#closed || Date.now() + pauseMs >= endMs) throw error;
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
  }

  /** A connection ended that should have lasted. */
  broke(): void {
    this.#away = true;
  }

  /** Whether etcd is, or was within so long, out of reach from here. */
  wasAwayWithin(ms: number): boolean {
    return this.#away || this.#nowMs() - this.#awayUntilMs < ms;
  }

  get away(): boolean {
    return this.#away;
  }

  close(): void {
    this.#closed = true;
    for (const client of this.#clients) client.close();
  }

  #answered(): void {
    if (!this.#away) return;
    this.#away = false;
    this.#awayUntilMs = this.#nowMs();
  }

  #clientAt(index: number): Etcd3 {
    const client = this.#clients[index];
    if (client === undefined) throw new Error(`There is no etcd endpoint ${index}`);
    return client;
  }
}

function optionsOf(endpoint: string, { credentials, tls }: EtcdConnectionConfig, callTimeoutMs: number): IOptions {
  const withDeadline = () => ({ deadline: Date.now() + callTimeoutMs });
  return {
    hosts: endpoint,
    grpcOptions: CHANNEL,
    faultHandling: { global: NO_POLICY, host: () => NO_POLICY },
    ...(credentials === undefined ? {} : { auth: { ...credentials, callOptions: withDeadline } }),
    ...(tls === undefined
      ? {}
      : {
          credentials: {
            rootCertificate: tls.ca,
            ...(tls.key === undefined ? {} : { privateKey: tls.key }),
            ...(tls.certificate === undefined ? {} : { certChain: tls.certificate }),
          },
        }),
  };
}

class Silent extends Error {}

/** gRPC's deadline does not cover what etcd3 does before a call (signing in), and a stream has none. */
async function before<T>(deadlineMs: number, answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Silent('no answer in time')), Math.max(0, deadlineMs - Date.now()) + 50);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Errors of streams come as gRPC made them; one without a meaning is of a channel that was closed meanwhile. */
function isAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const cast = castGrpcError(error);
  return error instanceof Silent || isRecoverableError(cast) || cast.constructor === GRPCGenericError;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
