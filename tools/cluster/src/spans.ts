import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One step of one request, as a process has told of it. */
export interface Span {
  readonly traceId: string;
  readonly name: string;
  /** `routing`: part of which service it is. */
  readonly service: string;
  /** Of the process that it happened in. */
  readonly pid: number | undefined;
  /** Milliseconds since the epoch. */
  readonly startMs: number;
  readonly endMs: number;
}

interface Attribute {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly intValue?: string | number };
}
interface Export {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] };
    readonly scopeSpans: readonly {
      readonly spans: readonly {
        readonly traceId: string;
        readonly name: string;
        readonly startTimeUnixNano: string;
        readonly endTimeUnixNano: string;
        readonly attributes: readonly Attribute[];
      }[];
    }[];
  }[];
}

const BODY_MAX_BYTES = 16 * 1024 * 1024;
const SPANS_MAX = 100_000;

/** The spans of an OTLP/HTTP export in its JSON form. */
export function spansIn(json: string): readonly Span[] {
  const { resourceSpans } = JSON.parse(json) as Export;
  return resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const pid = attributeOf(resource.attributes, 'process.pid');
    return scopeSpans.flatMap(({ spans }) =>
      spans.map(({ traceId, name, attributes, startTimeUnixNano, endTimeUnixNano }) => ({
        traceId,
        name,
        service: attributeOf(attributes, 'parley.service') ?? 'unknown',
        pid: pid === undefined ? undefined : Number(pid),
        startMs: milliseconds(startTimeUnixNano),
        endMs: milliseconds(endTimeUnixNano),
      })),
    );
  });
}

function attributeOf(attributes: readonly Attribute[], name: string): string | undefined {
  const value = attributes.find(({ key }) => key === name)?.value;
  return value?.stringValue ?? (value?.intValue === undefined ? undefined : String(value.intValue));
}

/** Nanoseconds since the epoch are more than a number keeps exactly. */
function milliseconds(nanoseconds: string): number {
  const all = BigInt(nanoseconds);
  return Number(all / 1_000_000n) + Number(all % 1_000_000n) / 1e6;
}

/** What services export their spans to. */
export class SpanReceiver {
  readonly #spans: Span[] = [];
  readonly #server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > BODY_MAX_BYTES) request.destroy();
      else chunks.push(chunk);
    });
    request.once('end', () => {
      if (request.url === '/v1/traces') this.#spans.push(...spansIn(Buffer.concat(chunks).toString()));
      this.#spans.splice(0, Math.max(0, this.#spans.length - SPANS_MAX));
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });

  static async start(): Promise<SpanReceiver> {
    const receiver = new SpanReceiver();
    await new Promise<void>((resolve) => receiver.#server.listen(0, '127.0.0.1', resolve));
    return receiver;
  }

  /** What a service needs to be told. */
  get environment(): Readonly<Record<string, string>> {
    const { port } = this.#server.address() as AddressInfo;
    return {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_BSP_SCHEDULE_DELAY: '100',
    };
  }

  /** In the order in which they began. */
  ofTrace(traceId: string): readonly Span[] {
    return this.#spans.filter((span) => span.traceId === traceId).sort((one, other) => one.startMs - other.startMs);
  }

  /** Traces with a span of this name that began since then, in order. */
  tracesWith(name: string, sinceMs: number): readonly string[] {
    return this.#spans
      .filter((span) => span.name === name && span.startMs >= sinceMs)
      .sort((one, other) => one.startMs - other.startMs)
      .map(({ traceId }) => traceId);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
