import { connect, createServer, type Server, type Socket } from 'node:net';

const CONNECT_TIMEOUT_MS = 500;

/**
 * What stands before gateways wherever there are several: connections go to one after the other, and past those that
 * do not take them. Bytes only; it knows nothing of what they say.
 */
export class Balancer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #next = 0;

  private constructor(private readonly targets: () => readonly string[]) {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
      this.#keep(client);
      this.#pass(client, this.targets().length);
    });
  }

  /** On any free port; `targets` are base URLs. */
  static async start(targets: () => readonly string[]): Promise<Balancer> {
    const balancer = new Balancer(targets);
    await new Promise<void>((resolve) => balancer.#server.listen(0, '127.0.0.1', 4_096, resolve));
    return balancer;
  }

  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the balancer does not listen');
    return `http://127.0.0.1:${address.port}`;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #pass(client: Socket, attempts: number): void {
    const targets = this.targets();
    const target = targets[(this.#next += 1) % targets.length];
    if (target === undefined || attempts === 0 || client.destroyed) {
      client.destroy();
      return;
    }
    const { hostname, port } = new URL(target);
    const gateway = connect({ host: hostname, port: Number(port), noDelay: true });
    this.#keep(gateway);
    gateway.setTimeout(CONNECT_TIMEOUT_MS, () => gateway.destroy(new Error('no answer')));
    const refused = (): void => this.#pass(client, attempts - 1);
    gateway.once('error', refused);
    gateway.once('connect', () => {
      gateway.setTimeout(0);
      gateway.off('error', refused);
      // Either end gone is both gone.
      for (const [one, other] of [
        [client, gateway],
        [gateway, client],
      ] as const) {
        one.on('error', () => other.destroy());
        one.once('close', () => other.destroy());
      }
      client.pipe(gateway).pipe(client);
    });
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.on('error', () => undefined);
  }
}
