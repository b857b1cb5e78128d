import { Recorder } from './recorder.js';

/** An SSE stream (`GET /v1/events`), read with fetch. */
export class EventStream extends Recorder {
  /** Resolves when the server ends it. */
  readonly ended: Promise<void>;
  /** `id:` of the last event. */
  cursor: string | undefined;
  readonly #abort: AbortController;

  private constructor(name: string, body: ReadableStream<Uint8Array>, abort: AbortController) {
    super(`${name}/sse`);
    this.#abort = abort;
    this.ended = this.#read(body);
  }

  static async open(
    name: string,
    origin: string,
    token: string,
    { lastEventId, cursor }: { readonly lastEventId?: string; readonly cursor?: string } = {},
  ): Promise<EventStream> {
    const abort = new AbortController();
    const response = await fetch(
      `${origin}/v1/events${cursor === undefined ? '' : `?cursor=${encodeURIComponent(cursor)}`}`,
      {
        headers: {
          authorization: `Bearer ${token}`,
          ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
        },
        signal: abort.signal,
      },
    );
    if (response.status !== 200 || response.body === null)
      throw new Error(`The stream was answered ${response.status}`);
    const type = response.headers.get('content-type') ?? '';
    if (!type.startsWith('text/event-stream')) throw new Error(`The stream is ${type}`);
    return new EventStream(name, response.body, abort);
  }

  close(): void {
    this.#abort.abort();
  }

  async #read(body: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    let text = '';
    try {
      for await (const chunk of body) {
        text += decoder.decode(chunk, { stream: true });
        const blocks = text.split('\n\n');
        text = blocks.pop() ?? '';
        for (const block of blocks) this.#take(block);
      }
    } catch {
      // Aborted here, or cut off by the server: either way it has ended, which is what waits to be known.
    }
  }

  #take(block: string): void {
    const field = (name: string): string | undefined =>
      block
        .split('\n')
        .find((line) => line.startsWith(`${name}: `))
        ?.slice(name.length + 2);
    const event = field('event');
    if (event === undefined) return;
    this.cursor = field('id');
    this.push({
      event,
      data: JSON.parse(field('data') ?? 'null') as Record<string, unknown>,
      ...(this.cursor === undefined ? {} : { cursor: this.cursor }),
    });
  }
}
