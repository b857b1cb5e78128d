import {
  type handleUnaryCall,
  type MethodDefinition,
  Server,
  type ServerDuplexStream,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';

import type { GrpcSettings } from './config.js';
import { serverCredentials } from './credentials.js';
import { ServedStream } from './served-stream.js';
import { statusOf } from './status.js';
import type { StreamMethod } from './stream-method.js';

const FLOW_WINDOW_BYTES = 4 * 1024 * 1024;

/** A service as it is put together call by call. */
export interface ServiceBuilder {
  unary<Q, A>(method: MethodDefinition<Q, A>, handle: (request: Q) => Promise<A>): void;
  numbered<Q, A>(method: StreamMethod<Q, A>, handle: (request: Q) => Promise<A>): void;
}

interface MovableStream {
  askToMove(): void;
}

/** This process' one gRPC server. */
export class LinkServer {
  readonly #server: Server;
  readonly #streams = new Set<MovableStream>();

  private constructor(private readonly settings: GrpcSettings) {
    const { bounds, keepAliveMs, keepAliveTimeoutMs, maxConnectionAgeMs } = settings;
    this.#server = new Server({
      'grpc.max_receive_message_length': bounds.messageMaxBytes + 1_024,
      'grpc.max_send_message_length': bounds.answerMaxBytes,
      'grpc.keepalive_time_ms': keepAliveMs,
      'grpc.keepalive_timeout_ms': keepAliveTimeoutMs,
      'grpc-node.flow_control_window': FLOW_WINDOW_BYTES,
      // Streams are asked to move at half the age, so that the grace is enough for any that was opened just before.
      ...(maxConnectionAgeMs === undefined
        ? {}
        : { 'grpc.max_connection_age_ms': maxConnectionAgeMs, 'grpc.max_connection_age_grace_ms': maxConnectionAgeMs }),
    });
  }

  /** Listens; the port is the one that was found. */
  static async listen(settings: GrpcSettings): Promise<{ readonly server: LinkServer; readonly port: number }> {
    const server = new LinkServer(settings);
    const { host, port } = settings.listen;
    const bound = await new Promise<number>((resolve, reject) => {
      server.#server.bindAsync(hostPort(host, port), serverCredentials(settings.tls), (error, found) => {
        if (error === null) resolve(found);
        else reject(new Error(`links: cannot listen at ${hostPort(host, port)}: ${error.message}`));
      });
    });
    return { server, port: bound };
  }

  add(build: (builder: ServiceBuilder) => void): { close(): void } {
    const definition: Record<string, MethodDefinition<never, never>> = {};
    const implementation: UntypedServiceImplementation = {};
    const streams = new Set<MovableStream>();
    const put = (method: MethodDefinition<never, never>, handle: UntypedServiceImplementation[string]): void => {
      definition[method.path] = method;
      implementation[method.path] = handle;
    };
    build({
      unary: (method, handle) => put(method as never, this.#unary(method, handle)),
      numbered: (method, handle) => put(rawMethod(method.path), this.#numbered(method, handle, streams)),
    });
    const service = definition as unknown as ServiceDefinition;
    this.#server.addService(service, implementation);
    return {
      close: () => {
        this.#server.removeService(service);
        for (const stream of streams) stream.askToMove();
      },
    };
  }

  /** Takes no more connections and calls, waits until what runs is answered, at most `closeMs`. */
  async close(): Promise<void> {
    const drained = new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()));
    for (const stream of this.#streams) stream.askToMove();
    const forced = setTimeout(() => this.#server.forceShutdown(), this.settings.closeMs);
    await drained;
    clearTimeout(forced);
  }

  #unary<Q, A>(method: MethodDefinition<Q, A>, handle: (request: Q) => Promise<A>): handleUnaryCall<Q, A> {
    return (call, callback) => {
      Promise.resolve()
        .then(() => handle(call.request))
        .then(
          (answer) => callback(null, answer),
          (error: unknown) => callback(statusOf(error, method.path, this.settings.log)),
        )
        .catch((error: unknown) =>
          this.settings.log.error({ err: error, link: method.path }, 'an answer could not be sent'),
        );
    };
  }

  #numbered<Q, A>(method: StreamMethod<Q, A>, handle: (request: Q) => Promise<A>, streams: Set<MovableStream>) {
    const { bounds, log, maxConnectionAgeMs } = this.settings;
    return (raw: ServerDuplexStream<Buffer, Buffer>): void => {
      const stream: MovableStream = new ServedStream(raw, { method, handle, bounds, log }, () => {
        clearTimeout(age);
        streams.delete(stream);
        this.#streams.delete(stream);
      });
      const age =
        maxConnectionAgeMs === undefined ? undefined : setTimeout(() => stream.askToMove(), maxConnectionAgeMs / 2);
      age?.unref();
      streams.add(stream);
      this.#streams.add(stream);
    };
  }
}

/** Messages of a stream are put together and taken apart by its method, as bytes. */
function rawMethod(path: string): MethodDefinition<never, never> {
  const asIs = (bytes: Buffer): Buffer => bytes;
  const method: MethodDefinition<Buffer, Buffer> = {
    path,
    requestStream: true,
    responseStream: true,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
  return method as never;
}

/** As a URL writes it: an IPv6 address in brackets. */
export function hostPort(host: string, port: number): string {
  return `${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${port}`;
}
