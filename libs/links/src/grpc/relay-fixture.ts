import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A network in between, which can be cut, and which can fall silent as a stopped process does. */
export class Relay {
  readonly #server: Server;
  readonly #pairs = new Set<{ readonly near: Socket; readonly far: Socket }>();
  #silent = false;
  connections = 0;

  private constructor(private readonly to: string) {
    this.#server = createServer((near) => this.#join(near));
  }

  static async before(address: string): Promise<Relay> {
    const relay = new Relay(address);
    await new Promise<void>((resolve) => relay.#server.listen(0, '127.0.0.1', resolve));
    return relay;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Breaks every connection. */
  cut(): void {
    for (const { near, far } of this.#pairs) {
      near.destroy();
      far.destroy();
    }
  }

  /** Connections stay, and new ones are taken, but not a byte passes. */
  fallSilent(): void {
    this.#silent = true;
    for (const { near, far } of this.#pairs) {
      near.pause();
      far.pause();
    }
  }

  speak(): void {
    this.#silent = false;
    for (const { near, far } of this.#pairs) {
      near.resume();
      far.resume();
    }
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.cut();
    await closed;
  }

  #join(near: Socket): void {
    this.connections += 1;
    const at = this.to.lastIndexOf(':');
    const far = connect({ host: this.to.slice(0, at), port: Number(this.to.slice(at + 1)) });
    const pair = { near, far };
    this.#pairs.add(pair);
    near.on('data', (bytes) => far.write(bytes));
    far.on('data', (bytes) => near.write(bytes));
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        other.destroy();
        this.#pairs.delete(pair);
      });
      if (this.#silent) socket.pause();
    }
  }
}
