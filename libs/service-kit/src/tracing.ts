import { type Context, context, propagation, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';

/** One timed step of a request. */
export interface TraceSpan {
  /** W3C trace context to hand on; undefined when nothing is traced. */
  readonly traceparent: string | undefined;
  end(error?: unknown): void;
}

/** What brings the trace context of one request. */
export interface TraceCarrier {
  readonly traceparent?: string | undefined;
}

/** One step of a batch, in the trace of each request in it that is traced. */
export interface BatchSpan {
  /** The requests as they go on from here; the very same where nothing is traced. */
  handOn<T extends TraceCarrier>(carriers: readonly T[]): readonly T[];
  end(error?: unknown): void;
}

type Attributes = Readonly<Record<string, string | number>>;

const NOTHING_OF_BATCH: BatchSpan = Object.freeze({
  handOn: <T>(carriers: readonly T[]) => carriers,
  end: () => undefined,
});
const NOTHING: TraceSpan = Object.freeze({ traceparent: undefined, end: () => undefined });

/**
 * Traces of one message across all services. Off (and free) unless an OTLP endpoint is configured; the SDK is loaded
 * only then. Context travels as a `traceparent` text in commands and records, because batches carry many requests.
 */
export class Tracing {
  #stop: (() => Promise<void>) | undefined;

  get enabled(): boolean {
    return this.#stop !== undefined;
  }

  /** Starts exporting to `endpoint` (OTLP over HTTP, the base URL as in OTEL_EXPORTER_OTLP_ENDPOINT). */
  async start(endpoint: string, serviceName: string): Promise<void> {
    process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = endpoint;
    process.env['OTEL_TRACES_EXPORTER'] ??= 'otlp';
    process.env['OTEL_METRICS_EXPORTER'] ??= 'none';
    process.env['OTEL_LOGS_EXPORTER'] ??= 'none';
    const { NodeSDK } = await import('@opentelemetry/sdk-node');
    const sdk = new NodeSDK({ serviceName, instrumentations: [] });
    sdk.start();
    this.#stop = () => sdk.shutdown();
  }

  async stop(): Promise<void> {
    await this.#stop?.();
    this.#stop = undefined;
  }

  span(service: string, name: string, parent: string | undefined, attributes: Attributes = {}): TraceSpan {
    return this.enabled ? begin(service, name, parent, attributes) : NOTHING;
  }

  /** A span in the trace of every carrier that has one; `startedMs`, since the epoch, if it began before this call. */
  batch(
    service: string,
    name: string,
    carriers: readonly TraceCarrier[],
    attributes: Attributes = {},
    startedMs?: number,
  ): BatchSpan {
    if (!this.enabled) return NOTHING_OF_BATCH;
    const spans = new Map<string, TraceSpan>();
    for (const { traceparent } of carriers) {
      if (traceparent === undefined || spans.has(traceparent)) continue;
      spans.set(traceparent, begin(service, name, traceparent, attributes, startedMs));
    }
    return {
      handOn: (before) =>
        before.map((carrier) => {
          const traceparent = spans.get(carrier.traceparent ?? '')?.traceparent;
          return traceparent === undefined ? carrier : { ...carrier, traceparent };
        }),
      end(error) {
        for (const span of spans.values()) span.end(error);
      },
    };
  }
}

function begin(
  service: string,
  name: string,
  parent: string | undefined,
  attributes: Attributes,
  startedMs?: number,
): TraceSpan {
  const parentContext = parent === undefined ? context.active() : extract(parent);
  const span = trace.getTracer('parley').startSpan(
    name,
    {
      kind: SpanKind.INTERNAL,
      attributes: { ...attributes, 'parley.service': service },
      ...(startedMs === undefined ? {} : { startTime: new Date(startedMs) }),
    },
    parentContext,
  );
  return {
    traceparent: inject(trace.setSpan(parentContext, span)),
    end: (error) => finish(span, error),
  };
}

function finish(span: Span, error: unknown): void {
  if (error !== undefined) {
    span.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.message : String(error) });
  }
  span.end();
}

function extract(traceparent: string): Context {
  return propagation.extract(context.active(), { traceparent });
}

function inject(from: Context): string | undefined {
  const carrier: { traceparent?: string } = {};
  propagation.inject(from, carrier);
  return carrier.traceparent;
}
