import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';

import { freePort, NODE_FLAGS } from '@parley/load';

import { migrate } from './migration-run.js';
import { type LogLine, ServiceProcess } from './service-process.js';

export const SERVICES = ['gateway', 'chat', 'routing', 'delivery', 'presence', 'push-notification'] as const;
export type Service = (typeof SERVICES)[number];
export type Counts = Readonly<Record<Service, number>>;

/** What a small installation would run: each service twice, chat three times. */
export const COUNTS: Counts = {
  gateway: 2,
  chat: 3,
  routing: 2,
  delivery: 2,
  presence: 2,
  'push-notification': 1,
};

export interface ClusterOptions {
  /** Where the engines are: what `make stack` writes. */
  readonly engines: Readonly<Record<string, string>>;
  readonly counts?: Counts;
  /** Public ports of the gateways, in order; any free ones where there are fewer. */
  readonly gatewayPorts?: readonly number[];
  /** For every service. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cores?: string;
  readonly onLine?: (name: string, line: LogLine | string) => void;
}

/** An engine that is not there is waited for 30 s by the service itself. */
const START_WITHIN_MS = 90_000;

const program = (app: string): string => fileURLToPath(new URL(`../../../apps/${app}/dist/main.js`, import.meta.url));

/** The services as processes of this machine, each on its own; what dies is started again. */
export class Cluster {
  readonly #options: ClusterOptions;
  readonly #processes = new Map<Service, ServiceProcess[]>();
  /** Made anew with each cluster: gateways and chat servers share it. */
  readonly #ticketKey = randomBytes(32).toString('base64url');
  readonly #gatewayPorts: number[] = [];

  private constructor(options: ClusterOptions) {
    this.#options = options;
  }

  /** Migrates the schemas and topics, starts everything, and resolves when all of it is ready. */
  static async start(options: ClusterOptions): Promise<Cluster> {
    const cluster = new Cluster(options);
    await cluster.#migrate();
    try {
      await Promise.all(SERVICES.map((service) => cluster.scale(service, (options.counts ?? COUNTS)[service])));
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  get all(): readonly ServiceProcess[] {
    return SERVICES.flatMap((service) => this.of(service));
  }

  of(service: Service): readonly ServiceProcess[] {
    return this.#processes.get(service) ?? [];
  }

  /** One by its name, `chat-1`. */
  named(name: string): ServiceProcess {
    const found = this.all.find((process) => process.name === name);
    if (found === undefined)
      throw new Error(`there is no ${name}; there are ${this.all.map((p) => p.name).join(', ')}`);
    return found;
  }

  /** Base URLs of the gateways. */
  get urls(): readonly string[] {
    return this.#gatewayPorts.slice(0, this.of('gateway').length).map((port) => `http://127.0.0.1:${port}`);
  }

  /** Internal addresses (health, metrics) of every process. */
  async internalUrls(): Promise<ReadonlyMap<string, string>> {
    const lines = await Promise.all(this.all.map(async ({ name, ready }) => [name, await ready] as const));
    return new Map(lines.map(([name, line]) => [name, `http://127.0.0.1:${line.internalPort}`]));
  }

  /** So many of a service; those that are too many drain and end. Resolves when the new ones are ready. */
  async scale(service: Service, count: number): Promise<void> {
    const processes = this.#processes.get(service) ?? [];
    this.#processes.set(service, processes);
    const added: ServiceProcess[] = [];
    while (processes.length < count) {
      const process = await this.#make(service, processes.length + 1);
      processes.push(process);
      added.push(process);
    }
    await Promise.all(added.map((process) => within(START_WITHIN_MS, process.start(), process.name)));
    await Promise.all(processes.splice(count).map((process) => process.stop()));
  }

  /** Everything drains and ends: first the doors, so that nobody asks for what is gone. */
  async stop(): Promise<void> {
    for (const service of ['chat', 'gateway'] as const) {
      await Promise.all(this.of(service).map((process) => process.stop()));
    }
    await Promise.all(this.all.map((process) => process.stop()));
    this.#processes.clear();
  }

  async #make(service: Service, number: number): Promise<ServiceProcess> {
    const { onLine = () => undefined, cores } = this.#options;
    const name = `${service}-${number}`;
    return new ServiceProcess({
      name,
      entry: program(service),
      nodeFlags: NODE_FLAGS,
      ...(cores === undefined ? {} : { cores }),
      env: {
        ...this.#environment(),
        PARLEY_INSTANCE_ID: String(number),
        ...(service === 'gateway' ? { PARLEY_PORT: String(await this.#gatewayPort(number)) } : {}),
      },
      onLine,
    });
  }

  #environment(): Record<string, string> {
    return { ...this.#options.engines, PARLEY_TICKET_KEY: this.#ticketKey, ...this.#options.env };
  }

  async #gatewayPort(number: number): Promise<number> {
    const known = this.#gatewayPorts[number - 1];
    if (known !== undefined) return known;
    const port = this.#options.gatewayPorts?.[number - 1] ?? (await freePort());
    this.#gatewayPorts[number - 1] = port;
    return port;
  }

  #migrate(): Promise<void> {
    return migrate(program('admin'), this.#environment(), this.#options.onLine ?? (() => undefined));
  }
}

async function within<T>(ms: number, promise: Promise<T>, name: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${name} was not ready within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
