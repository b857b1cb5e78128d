import {
  Client,
  connectivityState,
  Metadata,
  type ChannelOptions,
  type MethodDefinition,
  type ServiceError,
} from '@grpc/grpc-js';
import { ParleyError } from '@parley/contracts';

import { LinkDown, type LinkName } from '../links.js';
import type { GrpcSettings } from './config.js';
import { clientCredentials } from './credentials.js';
import { type CallCounts, NumberedCalls, type RawStream, type StreamPeer } from './numbered-calls.js';
import { errorOf, REFUSED_MAX, wasRefused } from './status.js';
import type { StreamMethod } from './stream-method.js';

/** Bytes that a stream may be ahead of its reader; the default of HTTP/2, 64 KB, stalls batches. */
const FLOW_WINDOW_BYTES = 4 * 1024 * 1024;
const RECONNECT_FIRST_MS = 100;
const RECONNECT_MAX_MS = 2_000;

const asIs = (bytes: Buffer): Buffer => bytes;

/**
 * The connection to one address, made with the first call. Calls do not wait for a peer that is known to be away: while
 * connecting fails they reject at once, and while it hangs (a stopped process takes connections and says nothing) they
 * reject after `connectMs`, later ones at once.
 */
export class Peer implements StreamPeer {
  readonly #client: Client;
  readonly #streams = new Map<string, NumberedCalls<never, unknown>>();
  #unary = 0;
  #connecting: Promise<void> | undefined;
  /** Connecting took too long, and still goes on. */
  #hangs = false;
  usedMs = performance.now();

  constructor(
    readonly address: string,
    private readonly settings: GrpcSettings,
    private readonly countsOf: (link: LinkName) => CallCounts,
  ) {
    const { bounds, keepAliveMs, keepAliveTimeoutMs, tls } = settings;
    const options: ChannelOptions = {
      'grpc.keepalive_time_ms': keepAliveMs,
      'grpc.keepalive_timeout_ms': keepAliveTimeoutMs,
      'grpc.keepalive_permit_without_calls': 1,
      'grpc.initial_reconnect_backoff_ms': RECONNECT_FIRST_MS,
      'grpc.min_reconnect_backoff_ms': RECONNECT_FIRST_MS,
      'grpc.max_reconnect_backoff_ms': RECONNECT_MAX_MS,
      'grpc.max_receive_message_length': bounds.answerMaxBytes,
      'grpc.max_send_message_length': bounds.messageMaxBytes + 1_024,
      // Retries are decided by who knows what may be repeated (clients.ts).
      'grpc.enable_retries': 0,
      'grpc.service_config_disable_resolution': 1,
      // Addresses are the services' own; a proxy of the environment is for the way out.
      'grpc.enable_http_proxy': 0,
      // Otherwise a connection outlives the channel that was closed.
      'grpc.use_local_subchannel_pool': 1,
      'grpc-node.flow_control_window': FLOW_WINDOW_BYTES,
      ...(tls?.serverName === undefined
        ? {}
        : { 'grpc.ssl_target_name_override': tls.serverName, 'grpc.default_authority': tls.serverName }),
    };
    this.#client = new Client(address, clientCredentials(tls), options);
  }

  get idle(): boolean {
    return this.#unary === 0 && [...this.#streams.values()].every(({ idle }) => idle);
  }

  ready(): Promise<void> | null {
    const channel = this.#client.getChannel();
    const state = channel.getConnectivityState(true);
    switch (state) {
      case connectivityState.READY:
        this.#hangs = false;
        return null;
      case connectivityState.TRANSIENT_FAILURE:
      case connectivityState.SHUTDOWN:
        this.#hangs = false;
        return Promise.reject(new LinkDown(`${this.address} cannot be reached`, false));
      case connectivityState.CONNECTING:
      case connectivityState.IDLE:
        if (this.#hangs) return Promise.reject(new LinkDown(`${this.address} takes no connection`, false));
        return (this.#connecting ??= this.#connected(performance.now() + this.settings.deadlines.connectMs).finally(
          () => (this.#connecting = undefined),
        ));
    }
  }

  /** A call on the stream of this link. */
  numbered<Q, A>(link: LinkName, method: StreamMethod<Q, A>, deadlineMs: number, request: Q): Promise<A> {
    this.usedMs = performance.now();
    let calls = this.#streams.get(method.path) as NumberedCalls<Q, A> | undefined;
    if (calls === undefined) {
      calls = new NumberedCalls(method, this, deadlineMs, this.settings.bounds, this.countsOf(link));
      // By path, which has one method and so one type of calls.
      this.#streams.set(method.path, calls as unknown as NumberedCalls<never, unknown>);
    }
    return calls.call(request);
  }

  async unary<Q, A>(link: LinkName, method: MethodDefinition<Q, A>, request: Q): Promise<A> {
    const { bounds, deadlines } = this.settings;
    if (this.#unary >= bounds.callsMax) {
      throw new ParleyError('overloaded', `Too much waits for ${this.address}`, { retryAfterMs: 1_000 });
    }
    this.usedMs = performance.now();
    this.#unary += 1;
    try {
      const deadline = Date.now() + deadlines.unaryMs;
      const counts = this.countsOf(link);
      for (let refused = 0; ; refused += 1) {
        await this.ready();
        counts.calls += 1;
        counts.messages += 1;
        const { error, answer } = await this.#ask(method, request, deadline);
        if (error !== null && wasRefused(error) && refused < REFUSED_MAX) continue;
        if (error !== null) throw errorOf(error, this.address);
        if (answer === undefined) throw new LinkDown(`${this.address} answered nothing`, true);
        return answer;
      }
    } finally {
      this.#unary -= 1;
      this.usedMs = performance.now();
    }
  }

  openStream(path: string): RawStream {
    return this.#client.makeBidiStreamRequest(path, asIs, asIs, new Metadata(), {});
  }

  /** Lets go of the connection; calls that are under way, if any, reject. */
  close(): void {
    for (const calls of this.#streams.values()) calls.close();
    this.#client.close();
  }

  #ask<Q, A>(
    method: MethodDefinition<Q, A>,
    request: Q,
    deadline: number,
  ): Promise<{ readonly error: ServiceError | null; readonly answer: A | undefined }> {
    const { path, requestSerialize, responseDeserialize } = method;
    return new Promise((resolve) => {
      this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        new Metadata(),
        { deadline },
        (error, answer) => resolve({ error, answer }),
      );
    });
  }

  async #connected(untilMs: number): Promise<void> {
    const channel = this.#client.getChannel();
    for (;;) {
      const state = channel.getConnectivityState(true);
      if (state === connectivityState.READY) return;
      if (state === connectivityState.TRANSIENT_FAILURE || state === connectivityState.SHUTDOWN) {
        throw new LinkDown(`${this.address} cannot be reached`, false);
      }
      const leftMs = untilMs - performance.now();
      if (leftMs <= 0 || !(await this.#changes(state, leftMs))) {
        this.#hangs = true;
        throw new LinkDown(`${this.address} takes no connection`, false);
      }
    }
  }

  #changes(from: connectivityState, withinMs: number): Promise<boolean> {
    const channel = this.#client.getChannel();
    return new Promise((resolve) =>
      channel.watchConnectivityState(from, Date.now() + withinMs, (error) =>
        resolve(error === undefined || error === null),
      ),
    );
  }
}
