/** Where gRPC listens; port 0 is any that is free. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** Mutual TLS: both sides show a certificate of this authority, and both look. PEM. */
export interface LinkTls {
  readonly ca: string | Buffer;
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
  /** The name that every service's certificate carries; without it, the host that is dialled. */
  readonly serverName?: string;
}

/** What a process logs of its links; pino's loggers fit. */
export interface LinkLog {
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface Deadlines {
  readonly submitMs: number;
  readonly pushMs: number;
  readonly markMs: number;
  readonly deliverMs: number;
  /** Each of the calls that are not on a stream. */
  readonly unaryMs: number;
  /** Until a connection is ready, and until the chat server's door takes one. */
  readonly connectMs: number;
}

export interface LinkBounds {
  /** Calls that wait or are under way on one stream, at its caller; beyond, calls reject `overloaded`. */
  readonly callsMax: number;
  /** Bytes of calls that wait to be written to one stream; beyond, calls reject `overloaded`. */
  readonly waitingMaxBytes: number;
  /** Calls of one stream that run at the service; beyond, the stream is not read. */
  readonly runningMax: number;
  /** Bytes of calls of one stream that run at the service; beyond, the stream is not read. */
  readonly runningMaxBytes: number;
  /** A batch is written as several messages where it would be larger. */
  readonly batchMaxBytes: number;
  /** A request that is larger is refused. */
  readonly messageMaxBytes: number;
  /** An answer that is larger is refused: a sync carries up to 10,000 entries. */
  readonly answerMaxBytes: number;
  /** Addresses with an open connection; beyond, the one that was not used for longest is closed. */
  readonly peersMax: number;
  /** Connections that nobody used for this long are closed. */
  readonly peerIdleMs: number;
  /** Client connections that one gateway passes to one chat server. */
  readonly doorConnectionsMax: number;
}

export interface GrpcLinksConfig {
  readonly listen: ListenAddress;
  /** How others name this host; by default the one that is listened at. */
  readonly advertiseHost?: string;
  /** Chat servers: where clients' connections are taken from gateways. */
  readonly door?: ListenAddress & { readonly advertiseHost?: string };
  readonly tls?: LinkTls;
  readonly log: LinkLog;
  readonly deadlines?: Partial<Deadlines>;
  readonly bounds?: Partial<LinkBounds>;
  /**
   * A connection is sent away after this, and gone after as long again, without a call failing. For callers that reach
   * instances by a name that stands for several (DNS); those that discovery lists are dialled one by one and need none.
   */
  readonly maxConnectionAgeMs?: number;
  /** A connection that says nothing is asked for a sign of life after this … */
  readonly keepAliveMs?: number;
  /** … and given up after this. */
  readonly keepAliveTimeoutMs?: number;
  /** How long `close` waits for what runs. */
  readonly closeMs?: number;
}

export interface GrpcSettings extends GrpcLinksConfig {
  readonly deadlines: Deadlines;
  readonly bounds: LinkBounds;
  readonly keepAliveMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly closeMs: number;
}

const DEADLINES: Deadlines = {
  submitMs: 5_000,
  pushMs: 2_000,
  markMs: 2_000,
  deliverMs: 5_000,
  unaryMs: 2_000,
  connectMs: 1_000,
};

const MB = 1024 * 1024;
const BOUNDS: LinkBounds = {
  callsMax: 10_000,
  waitingMaxBytes: 16 * MB,
  runningMax: 10_000,
  runningMaxBytes: 32 * MB,
  batchMaxBytes: MB,
  messageMaxBytes: 4 * MB,
  answerMaxBytes: 64 * MB,
  peersMax: 1_000,
  peerIdleMs: 60_000,
  doorConnectionsMax: 20_000,
};

/** Fills in the defaults; throws for TLS that is only half given, because it would be none. */
export function grpcSettings(config: GrpcLinksConfig): GrpcSettings {
  if (config.tls !== undefined) {
    for (const field of ['ca', 'cert', 'key'] as const) {
      const given: unknown = config.tls[field];
      if (given === undefined || given === '')
        throw new Error(`links: tls.${field} is missing; mutual TLS needs all three`);
    }
  }
  return {
    keepAliveMs: 2_000,
    keepAliveTimeoutMs: 2_000,
    closeMs: 5_000,
    ...config,
    deadlines: { ...DEADLINES, ...config.deadlines },
    bounds: { ...BOUNDS, ...config.bounds },
  };
}
