import { ParleyError } from '@parley/contracts';

import type { LinkName, Links, LinkServices } from './links.js';

/** Links within one process: calls on plain data, which neither side changes afterwards. */
export class InProcessLinks implements Links {
  readonly #services = new Map<string, LinkServices[LinkName]>();

  connect<K extends LinkName>(link: K, address: string): LinkServices[K] {
    const service = this.#services.get(`${link} ${address}`);
    if (service === undefined) throw new ParleyError('unavailable', `No ${link} answers at ${address}`);
    // `serve` is the only writer of the map and stores each service under its own link's name.
    return service as LinkServices[K];
  }

  serve<K extends LinkName>(link: K, address: string, service: LinkServices[K]): { close(): void } {
    const key = `${link} ${address}`;
    if (this.#services.has(key)) throw new Error(`${link} is already served at ${address}`);
    this.#services.set(key, service);
    return { close: () => void this.#services.delete(key) };
  }
}
