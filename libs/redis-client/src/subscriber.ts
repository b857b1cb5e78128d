import type { Redis } from 'ioredis';

import { inTime } from './failures.js';

/** Channels in one command, and commands in one pipeline, of a subscription. */
const CHANNELS_PER_COMMAND = 500;
/** How often silent connections are found, and channels whose slot went to another node. */
const CHECK_EVERY_MS = 2_000;

export type SubscriberNode = Pick<
  Redis,
  'status' | 'on' | 'connect' | 'disconnect' | 'ping' | 'pipeline' | 'removeAllListeners'
>;

export interface ShardedSubscriberOptions {
  readonly receive: (channel: string, message: Buffer) => void;
  readonly timeoutMs: number;
  /** Who has the channel; null while nobody knows. */
  readonly nodeOf: (channel: string) => string | null;
  /** Channels of the same group may stand in one command. */
  readonly grouped: (channel: string) => number;
  /** A connection to a node, not connected yet; null when the node is not there any more. */
  readonly open: (node: string) => SubscriberNode | null;
}

interface Subscription {
  node: string | null;
  /** The server said so, on the connection that there is now. */
  active: boolean;
  waiting: (() => void)[];
}

/**
 * Sharded subscriptions that last: after a lost connection, a restart of the server, or a slot that moved, every channel
 * is subscribed again.
 */
export class ShardedSubscriber {
  readonly #options: ShardedSubscriberOptions;
  readonly #wanted = new Map<string, Subscription>();
  readonly #nodes = new Map<string, SubscriberNode>();
  /** Channels whose state on the server is to be changed, by node; sent together when the turn ends. */
  readonly #due = new Map<string, Set<string>>();
  #check: NodeJS.Timeout | null = null;

  constructor(options: ShardedSubscriberOptions) {
    this.#options = options;
  }

  /** Resolves when there is a connection. */
  async start(timeoutMs: number): Promise<void> {
    this.#check = setInterval(() => this.#look(), CHECK_EVERY_MS).unref();
    const node = this.#options.nodeOf('');
    const client = node === null ? null : this.#connected(node);
    if (client === null || client.status === 'ready') return;
    const ready = new Promise<void>((resolve) => client.on('ready', resolve));
    await inTime(ready, timeoutMs).catch(async (error: unknown) => {
      await this.close();
      throw error;
    });
  }

  /**
   * True when the server has it: what is published from then on arrives. False when the server is away: it will have it
   * as soon as it is back.
   */
  async subscribe(channel: string): Promise<boolean> {
    let wanted = this.#wanted.get(channel);
    if (wanted === undefined) {
      wanted = { node: null, active: false, waiting: [] };
      this.#wanted.set(channel, wanted);
      this.#place(channel, wanted);
    }
    if (wanted.active) return true;
    const client = wanted.node === null ? undefined : this.#nodes.get(wanted.node);
    if (client === undefined || isAway(client)) return false;
    const { waiting } = wanted;
    return inTime(new Promise<void>((resolve) => waiting.push(resolve)), this.#options.timeoutMs).then(
      () => true,
      () => false,
    );
  }

  unsubscribe(channel: string): void {
    const wanted = this.#wanted.get(channel);
    if (wanted === undefined) return;
    this.#wanted.delete(channel);
    for (const waiting of wanted.waiting) waiting();
    if (wanted.node !== null) this.#change(wanted.node, channel);
  }

  async close(): Promise<void> {
    if (this.#check !== null) clearInterval(this.#check);
    this.#wanted.clear();
    for (const node of [...this.#nodes.keys()]) this.#drop(node);
  }

  #place(channel: string, wanted: Subscription): void {
    wanted.node = this.#options.nodeOf(channel);
    wanted.active = false;
    if (wanted.node !== null && this.#connected(wanted.node) !== null) this.#change(wanted.node, channel);
  }

  #connected(node: string): SubscriberNode | null {
    const known = this.#nodes.get(node);
    if (known !== undefined) return known;
    const client = this.#options.open(node);
    if (client === null) return null;
    this.#nodes.set(node, client);
    client.on('smessageBuffer', (channel: Buffer, message: Buffer) => {
      const name = channel.toString();
      if (this.#wanted.has(name)) this.#options.receive(name, message);
    });
    client.on('ready', () => this.#renew(node));
    client.on('close', () => this.#lost(node));
    // Told by the shared connection, which goes to the same server; here its consequence is 'close'.
    client.on('error', () => undefined);
    client.connect().catch(() => undefined);
    return client;
  }

  #drop(node: string): void {
    const client = this.#nodes.get(node);
    this.#nodes.delete(node);
    this.#due.delete(node);
    client?.removeAllListeners('ready');
    client?.disconnect();
  }

  #lost(node: string): void {
    for (const wanted of this.#wanted.values()) if (wanted.node === node) wanted.active = false;
  }

  /** On a connection that has nothing subscribed yet. */
  #renew(node: string): void {
    for (const [channel, wanted] of this.#wanted) if (wanted.node === node) this.#change(node, channel);
  }

  #change(node: string, channel: string): void {
    let due = this.#due.get(node);
    if (due === undefined) {
      due = new Set();
      this.#due.set(node, due);
      queueMicrotask(() => this.#send(node));
    }
    due.add(channel);
  }

  /** What is not wanted any more is unsubscribed, what is is subscribed; both are idempotent, and in order. */
  #send(node: string): void {
    const due = this.#due.get(node);
    this.#due.delete(node);
    const client = this.#nodes.get(node);
    // On 'ready' all that is wanted is sent.
    if (due === undefined || client?.status !== 'ready') return;
    const commands: { readonly name: 'SSUBSCRIBE' | 'SUNSUBSCRIBE'; readonly group: number; channels: string[] }[] = [];
    const open = new Map<string, (typeof commands)[number]>();
    for (const channel of due) {
      const name = this.#wanted.get(channel)?.node === node ? 'SSUBSCRIBE' : 'SUNSUBSCRIBE';
      const group = this.#options.grouped(channel);
      let command = open.get(`${name} ${group}`);
      if (command === undefined || command.channels.length === CHANNELS_PER_COMMAND) {
        command = { name, group, channels: [] };
        open.set(`${name} ${group}`, command);
        commands.push(command);
      }
      command.channels.push(channel);
    }
    const pipeline = client.pipeline();
    for (const { name, channels } of commands) {
      if (name === 'SSUBSCRIBE') pipeline.ssubscribe(...channels);
      else pipeline.sunsubscribe(...channels);
    }
    const sentFor = commands.map(({ channels }) => channels.map((channel) => this.#wanted.get(channel)));
    pipeline.exec().then(
      (answers) => {
        commands.forEach(({ name }, at) => {
          if (name === 'SUNSUBSCRIBE' || answers?.[at]?.[0] !== null || this.#nodes.get(node) !== client) return;
          for (const wanted of sentFor[at] ?? []) if (wanted !== undefined) activate(wanted);
        });
      },
      // The connection went: what is wanted is sent when it is back.
      () => undefined,
    );
  }

  #look(): void {
    const used = new Set<string>();
    for (const [channel, wanted] of this.#wanted) {
      const node = this.#options.nodeOf(channel) ?? wanted.node;
      if (node !== wanted.node) {
        if (wanted.node !== null) this.#change(wanted.node, channel);
        this.#place(channel, wanted);
      } else if (!wanted.active && node !== null && this.#connected(node)?.status === 'ready') {
        this.#change(node, channel);
      }
      if (node !== null) used.add(node);
    }
    for (const [node, client] of this.#nodes) {
      if (client.status === 'end' || (!used.has(node) && this.#nodes.size > 1)) this.#drop(node);
      // Unanswered, it ends the connection (`socketTimeout`); subscribed connections are silent by nature.
      else if (client.status === 'ready') client.ping().catch(() => undefined);
    }
  }
}

function activate(wanted: Subscription): void {
  wanted.active = true;
  for (const waiting of wanted.waiting.splice(0)) waiting();
}

/** Not merely on the way to its first connection. */
function isAway({ status }: SubscriberNode): boolean {
  return status === 'reconnecting' || status === 'close' || status === 'end';
}
