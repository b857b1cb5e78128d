import { afterEach, describe, expect, it } from '@jest/globals';

import { SILENT } from './kafka-config.js';
import { type Outgoing, PublishQueue, type PublishQueueOptions, type Sender } from './publish-queue.js';

interface Send {
  readonly batch: readonly Outgoing[];
  resolve(): void;
  reject(error: Error): void;
}

/** Senders whose every send a test settles by hand. */
class Brokers {
  readonly senders: { destroyed: boolean }[] = [];
  away = false;
  #sends: Send[] = [];
  #next: ((send: Send) => void) | null = null;

  readonly connect = async (): Promise<Sender> => {
    if (this.away) throw new Error('connection refused');
    const state = { destroyed: false };
    this.senders.push(state);
    return {
      send: (batch) =>
        new Promise((resolve, reject) => {
          const send = { batch, resolve, reject };
          if (this.#next === null) this.#sends.push(send);
          else this.#next(send);
          this.#next = null;
        }),
      destroy: () => void (state.destroyed = true),
    };
  };

  send(): Promise<Send> {
    const waiting = this.#sends.shift();
    return waiting === undefined ? new Promise((resolve) => (this.#next = resolve)) : Promise.resolve(waiting);
  }
}

function outgoing(key: string, bytes = 1): Outgoing {
  return { topic: 't', message: { key, value: Buffer.alloc(bytes), headers: {} } };
}
const keysOf = ({ batch }: Send): unknown[] => batch.map(({ message }) => message.key);

describe('the publish queue', () => {
  let queue: PublishQueue | null = null;
  afterEach(() => queue?.close());

  async function open(brokers: Brokers, more: Partial<PublishQueueOptions> = {}): Promise<PublishQueue> {
    queue = new PublishQueue({
      connect: brokers.connect,
      timeoutMs: 1_000,
      maxRecords: 10,
      maxBytes: 10_000_000,
      log: SILENT,
      pause: () => new Promise((resolve) => setImmediate(resolve)),
      ...more,
    });
    await queue.connected();
    return queue;
  }

  it('sends what is published in one turn, and while a send is under way, at once', async () => {
    const brokers = new Brokers();
    const bus = await open(brokers);
    const first = [bus.publish([outgoing('a')]), bus.publish([outgoing('b'), outgoing('c')])];
    const one = await brokers.send();
    const second = [bus.publish([outgoing('d')]), bus.publish([outgoing('e')])];
    expect(keysOf(one)).toEqual(['a', 'b', 'c']);
    one.resolve();
    await Promise.all(first);
    const two = await brokers.send();
    expect(keysOf(two)).toEqual(['d', 'e']);
    two.resolve();
    await Promise.all(second);
  });

  it('cuts a send at its bound in bytes, and confirms a publish when its last record is sent', async () => {
    const brokers = new Brokers();
    const bus = await open(brokers);
    let confirmed = false;
    const publishing = bus
      .publish([outgoing('a', 600_000), outgoing('b', 600_000), outgoing('c', 2_000_000)])
      .then(() => (confirmed = true));
    for (const key of ['a', 'b', 'c']) {
      const send = await brokers.send();
      expect([keysOf(send), confirmed]).toEqual([[key], false]);
      send.resolve();
    }
    await publishing;
  });

  it('fails everything behind a failed send, and goes on with a new sender', async () => {
    const brokers = new Brokers();
    const bus = await open(brokers);
    const first = bus.publish([outgoing('a')]);
    const send = await brokers.send();
    const behind = bus.publish([outgoing('a')]);
    send.reject(new Error('out of order sequence'));
    await expect(first).rejects.toMatchObject({ code: 'unavailable' });
    await expect(behind).rejects.toMatchObject({ code: 'unavailable' });
    expect(brokers.senders[0]).toEqual({ destroyed: true });
    const again = bus.publish([outgoing('a')]);
    (await brokers.send()).resolve();
    await again;
    expect(brokers.senders).toEqual([{ destroyed: true }, { destroyed: false }]);
  });

  it('gives up on silent brokers after its timeout, then refuses at once, until they are back', async () => {
    const brokers = new Brokers();
    const bus = await open(brokers, { timeoutMs: 20 });
    const silent = bus.publish([outgoing('a')]);
    await brokers.send();
    brokers.away = true;
    await expect(silent).rejects.toMatchObject({ code: 'unavailable' });
    await expect(bus.publish([outgoing('a')])).rejects.toThrow('Connecting to Kafka took longer');
    await expect(bus.publish([outgoing('a')])).rejects.toThrow('Kafka is away');
    brokers.away = false;
    await bus.connected();
    const back = bus.publish([outgoing('a')]);
    (await brokers.send()).resolve();
    await back;
  });

  it('refuses as overloaded what exceeds its bounds, wholly and at once', async () => {
    const brokers = new Brokers();
    const bus = await open(brokers, { maxRecords: 2, maxBytes: 1_000 });
    const fits = bus.publish([outgoing('a')]);
    await expect(bus.publish([outgoing('b'), outgoing('c')])).rejects.toMatchObject({ code: 'overloaded' });
    await expect(bus.publish([outgoing('b', 900)])).rejects.toMatchObject({ code: 'overloaded' });
    const send = await brokers.send();
    expect(keysOf(send)).toEqual(['a']);
    send.resolve();
    await fits;
  });

  it('sends what waits before it closes', async () => {
    const brokers = new Brokers();
    const bus = await open(brokers);
    const waiting = bus.publish([outgoing('a')]);
    const closing = bus.close();
    await expect(bus.publish([outgoing('b')])).rejects.toMatchObject({ code: 'unavailable' });
    (await brokers.send()).resolve();
    await waiting;
    await closing;
    expect(brokers.senders).toEqual([{ destroyed: true }]);
  });
});
