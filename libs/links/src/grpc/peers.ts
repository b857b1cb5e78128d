import { ParleyError } from '@parley/contracts';

import { LinkDown, type LinkName } from '../links.js';
import type { GrpcSettings } from './config.js';
import type { CallCounts } from './numbered-calls.js';
import { Peer } from './peer.js';

/** One connection to each address that is called, least recently used first; those that nobody uses are closed. */
export class Peers {
  readonly #peers = new Map<string, Peer>();
  readonly #counts = new Map<LinkName, CallCounts>();
  readonly #sweep: NodeJS.Timeout;
  #closed = false;

  constructor(private readonly settings: GrpcSettings) {
    this.#sweep = setInterval(() => this.closeIdle(), settings.bounds.peerIdleMs / 2);
    this.#sweep.unref();
  }

  get size(): number {
    return this.#peers.size;
  }

  at(address: string): Peer {
    const known = this.#peers.get(address);
    if (known !== undefined) {
      this.#peers.delete(address);
      this.#peers.set(address, known);
      return known;
    }
    if (this.#closed) throw new LinkDown('The links are closed', false);
    if (this.#peers.size >= this.settings.bounds.peersMax) this.#makeRoom();
    const peer = new Peer(address, this.settings, (link) => this.counts(link));
    this.#peers.set(address, peer);
    return peer;
  }

  counts(link: LinkName): CallCounts {
    const known = this.#counts.get(link);
    if (known !== undefined) return known;
    const counts = { calls: 0, messages: 0 };
    this.#counts.set(link, counts);
    return counts;
  }

  closeIdle(nowMs = performance.now()): void {
    for (const [address, peer] of this.#peers) {
      if (!peer.idle || peer.usedMs > nowMs - this.settings.bounds.peerIdleMs) continue;
      this.#peers.delete(address);
      peer.close();
    }
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#sweep);
    for (const peer of this.#peers.values()) peer.close();
    this.#peers.clear();
  }

  #makeRoom(): void {
    for (const [address, peer] of this.#peers) {
      if (!peer.idle) continue;
      this.#peers.delete(address);
      peer.close();
      return;
    }
    throw new ParleyError('overloaded', 'Too many instances are being called', { retryAfterMs: 1_000 });
  }
}
