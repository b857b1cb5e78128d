import type { EtcdConnection } from './etcd-connection.js';
import { decodeInstance } from './etcd-records.js';
import type { Instance } from './service-discovery.js';

export interface EtcdListingConfig {
  /** The whole list is read this often and compared with what the watch said. */
  readonly relistEveryMs: number;
  /** How long an instance stays listed whose lease ran out while, or just after, etcd was away. */
  readonly graceMs: number;
  readonly nowMs: () => number;
  /** Hears what was survived: a watch that broke, a record that nobody of us wrote. */
  readonly onProblem: (error: unknown) => void;
}

interface Entry {
  readonly instance: Instance;
  readonly left: boolean;
  readonly revision: number;
  /** Gone by the end of its lease, and kept until then; null: it is there. */
  readonly lingersUntilMs: number | null;
}

type KeyValue = { readonly key: Buffer; readonly value: Buffer; readonly mod_revision: string };
type WatchStream = Awaited<ReturnType<EtcdConnection['client']['watchClient']['watch']>>;

/** Beyond, the rest is not listed and the problem is reported: a fleet is hundreds. */
const INSTANCES_MAX = 10_000;
const OPEN_TIMEOUT_MS = 2_000;
const SILENT_AFTER_MS = 1_000;
const REOPEN_FIRST_MS = 100;
const REOPEN_MAX_MS = 2_000;

/**
 * One service's instances: listed, then watched from the revision of the list. Watches of etcd go silent now and then, and
 * one that is reopened at a revision that a wiped store has not reached yet waits in silence: so the list is read anew
 * before every watch and on a timer, and a watch that missed something is replaced.
 */
export class EtcdListing {
  readonly #entries = new Map<string, Entry>();
  #listed: readonly Instance[] = [];
  #revision = 0;
  /** Deletions seen while a list is under way, which it may be too old to know. */
  #deleted = new Map<string, number>();
  #stream: WatchStream | undefined;
  /** Answers that came by watch. */
  #heard = 0;
  #broken: (() => void) | undefined;
  #relist: NodeJS.Timeout | undefined;
  #sweep: NodeJS.Timeout | undefined;
  #listing: Promise<boolean> | undefined;
  #closed = false;

  constructor(
    private readonly connection: EtcdConnection,
    private readonly range: { readonly key: Buffer; readonly range_end: Buffer },
    private readonly config: EtcdListingConfig,
    private readonly changed: (instances: readonly Instance[]) => void,
  ) {}

  get instances(): readonly Instance[] {
    return this.#listed;
  }

  /** Resolves with the list complete; follows it from then on. */
  async start(): Promise<void> {
    await this.#list();
    void this.#follow();
    this.#relist = setInterval(() => void this.#compare(), this.config.relistEveryMs);
    this.#relist.unref();
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#relist);
    clearTimeout(this.#sweep);
    this.#endWatch();
  }

  async #follow(): Promise<void> {
    let pauseMs = REOPEN_FIRST_MS;
    while (!this.#closed) {
      const openedMs = Date.now();
      try {
        await this.#watch();
      } catch (error) {
        if (this.#closed) return;
        this.config.onProblem(error);
      }
      pauseMs = Date.now() - openedMs > REOPEN_MAX_MS ? REOPEN_FIRST_MS : Math.min(REOPEN_MAX_MS, 2 * pauseMs);
      await new Promise((resolve) => setTimeout(resolve, pauseMs).unref());
      if (!this.#closed) await this.#list().catch(this.config.onProblem);
    }
  }

  async #compare(): Promise<void> {
    try {
      if (!(await this.#list())) return;
    } catch (error) {
      this.config.onProblem(error);
      return;
    }
    // What the list knew first may be on its way; a watch that says nothing at all is replaced.
    const { heard, stream } = { heard: this.#heard, stream: this.#stream };
    const late = setTimeout(() => {
      if (this.#heard === heard && this.#stream === stream) this.#broken?.();
    }, SILENT_AFTER_MS);
    late.unref();
  }

  /** Resolves when the watch ended; rejects when it could not be opened, or etcd cancelled it. */
  async #watch(): Promise<void> {
    const stream = await this.connection.client.watchClient.watch();
    if (this.#closed) return endStream(stream);
    this.#stream = stream;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#broken = resolve;
        const opening = setTimeout(() => reject(new Error('etcd did not open a watch in time')), OPEN_TIMEOUT_MS);
        stream
          .on('data', (response) => {
            clearTimeout(opening);
            this.#heard += 1;
            if (response.canceled) reject(new Error(`etcd cancelled a watch: ${response.cancel_reason}`));
            else this.#apply(response.events, Number(response.header.revision));
          })
          .on('error', (error) => {
            clearTimeout(opening);
            if (this.#stream === stream) this.connection.broke();
            reject(error);
          })
          .on('end', () => {
            clearTimeout(opening);
            if (this.#stream === stream) this.connection.broke();
            resolve();
          });
        stream.write({ create_request: { ...this.range, start_revision: this.#revision + 1 } });
      });
    } finally {
      this.#endWatch();
    }
  }

  #endWatch(): void {
    const stream = this.#stream;
    this.#stream = undefined;
    if (stream !== undefined) endStream(stream);
    this.#broken?.();
    this.#broken = undefined;
  }

  #apply(events: readonly { readonly type: string; readonly kv: KeyValue }[], revision: number): void {
    let differs = false;
    for (const { type, kv } of events) {
      if (type.toLowerCase() === 'put') {
        const known = this.#entries.get(kv.key.toString());
        if (known === undefined || known.revision < Number(kv.mod_revision)) differs = this.#put(kv) || differs;
      } else {
        const at = Number(kv.mod_revision);
        const key = kv.key.toString();
        this.#deleted.set(key, at);
        if ((this.#entries.get(key)?.revision ?? at) < at) differs = this.#vanished(key, at) || differs;
      }
    }
    this.#revision = Math.max(this.#revision, revision);
    if (differs) this.#announce();
  }

  /** True when the list knew something that the watch had not told. One at a time; those who ask meanwhile share it. */
  #list(): Promise<boolean> {
    this.#listing ??= this.#listOnce().finally(() => (this.#listing = undefined));
    return this.#listing;
  }

  async #listOnce(): Promise<boolean> {
    const knownRevision = this.#revision;
    this.#deleted = new Map();
    const { kvs, header, more } = await this.connection.call((client, options) =>
      client.kv.range({ ...this.range, limit: INSTANCES_MAX }, options),
    );
    if (this.#closed) return false;
    if (more) this.config.onProblem(new Error(`etcd lists more than ${INSTANCES_MAX} instances; the rest is ignored`));
    const revision = Number(header.revision);
    // Older than what was known before it was asked for: the store was wiped, and its revisions began anew.
    const rewound = revision < knownRevision;
    let differs = rewound;
    const there = new Set<string>();
    for (const kv of kvs) {
      const key = kv.key.toString();
      there.add(key);
      if ((this.#deleted.get(key) ?? 0) > revision) continue;
      const known = this.#entries.get(key);
      // What came by watch after the list was made stands; else the list does, also where a wiped store counts anew.
      if (known !== undefined && !rewound && known.revision > revision) continue;
      if (known?.lingersUntilMs !== null || known.revision !== Number(kv.mod_revision))
        differs = this.#put(kv) || differs;
    }
    for (const [key, { revision: at }] of this.#entries) {
      if (!there.has(key) && (rewound || at <= revision)) differs = this.#vanished(key, revision) || differs;
    }
    this.#revision = rewound ? revision : Math.max(this.#revision, revision);
    if (differs) this.#announce();
    return differs;
  }

  /** True when the list changes by it. */
  #put(kv: KeyValue): boolean {
    const key = kv.key.toString();
    const revision = Number(kv.mod_revision);
    try {
      this.#entries.set(key, { ...decodeInstance(kv.key, kv.value), revision, lingersUntilMs: null });
      return true;
    } catch (error) {
      this.config.onProblem(error);
      return this.#entries.delete(key);
    }
  }

  /** The key is gone: by the end of its lease, unless the holder had said that it leaves. True when the list changes by it. */
  #vanished(key: string, revision: number): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.lingersUntilMs !== null) return false;
    const { graceMs, nowMs } = this.config;
    if (entry.left || !this.connection.wasAwayWithin(graceMs)) {
      this.#entries.delete(key);
      return !entry.left;
    }
    this.#entries.set(key, { ...entry, revision, lingersUntilMs: nowMs() + graceMs });
    this.#sweepAfter(graceMs);
    return false;
  }

  #sweepAfter(ms: number): void {
    if (this.#sweep !== undefined) return;
    this.#sweep = setTimeout(() => {
      this.#sweep = undefined;
      this.#endGrace();
    }, ms);
    this.#sweep.unref();
  }

  /** Whoever has not come back by now is gone; while etcd is away nobody can come back. */
  #endGrace(): void {
    const nowMs = this.config.nowMs();
    let differs = false;
    let nextMs = Number.POSITIVE_INFINITY;
    for (const [key, { lingersUntilMs }] of this.#entries) {
      if (lingersUntilMs === null) continue;
      if (lingersUntilMs <= nowMs && !this.connection.away) {
        this.#entries.delete(key);
        differs = true;
      } else {
        nextMs = Math.min(nextMs, Math.max(lingersUntilMs - nowMs, this.config.graceMs / 10));
      }
    }
    if (nextMs !== Number.POSITIVE_INFINITY) this.#sweepAfter(nextMs);
    if (differs) this.#announce();
  }

  #announce(): void {
    this.#listed = [...this.#entries.values()].filter(({ left }) => !left).map(({ instance }) => instance);
    if (!this.#closed) this.changed(this.#listed);
  }
}

/** Half-closed first: cancelling a stream that can still be written makes etcd3 close the channels of all other calls. */
function endStream(stream: WatchStream): void {
  stream.end();
  stream.cancel();
}
