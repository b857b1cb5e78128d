import { LinkDown, type LinkName, type Links, type LinkServices } from './links.js';

export interface InProcessLinksConfig {
  /** What the process calls itself; services may be served at any address. */
  readonly address?: string;
}

/** Links within one process: calls on plain data, which neither side changes afterwards. */
export class InProcessLinks implements Links {
  readonly address: string;
  readonly doorAddress: string;
  readonly #services = new Map<string, LinkServices[LinkName]>();

  constructor({ address = 'inproc:here' }: InProcessLinksConfig = {}) {
    this.address = address;
    this.doorAddress = address;
  }

  connect<K extends LinkName>(link: K, address: string): LinkServices[K] {
    const service = this.#services.get(`${link} ${address}`);
    if (service === undefined) throw new LinkDown(`No ${link} answers at ${address}`, false);
    // `serve` is the only writer of the map and stores each service under its own link's name.
    return service as LinkServices[K];
  }

  serve<K extends LinkName>(link: K, address: string, service: LinkServices[K]): { close(): void } {
    const key = `${link} ${address}`;
    if (this.#services.has(key)) throw new Error(`${link} is already served at ${address}`);
    this.#services.set(key, service);
    return { close: () => void this.#services.delete(key) };
  }

  close(): Promise<void> {
    this.#services.clear();
    return Promise.resolve();
  }
}
