import { describe, expect, it } from '@jest/globals';
import { type CommandBody, type InstanceId, ParleyError } from '@parley/contracts';
import { type Instance, openDiscovery, rank } from '@parley/discovery';

import { repeatable } from './clients.js';
import { type AttemptTiming, Instances } from './instances.js';
import { LinkDown } from './links.js';

/** Time that moves when told to. */
class Timing implements AttemptTiming {
  readonly silentAfterMs = 800;
  readonly suspectMs = 5_000;
  #nowMs = 0;
  readonly #timers = new Set<{ readonly atMs: number; readonly callback: () => void }>();

  nowMs = (): number => this.#nowMs;

  after = (delayMs: number, callback: () => void): (() => void) => {
    const timer = { atMs: this.#nowMs + delayMs, callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  };

  get pending(): number {
    return this.#timers.size;
  }

  advance(byMs: number): void {
    this.#nowMs += byMs;
    for (const timer of [...this.#timers]) {
      if (timer.atMs > this.#nowMs) continue;
      this.#timers.delete(timer);
      timer.callback();
    }
  }
}

async function three() {
  const discovery = await openDiscovery({ adapter: 'in-process' });
  for (const name of ['a', 'b', 'c']) {
    await discovery.register({
      service: 'routing',
      instanceId: name as InstanceId,
      address: name,
      region: 'local',
      version: '1',
      state: 'ready',
    });
  }
  const watch = await discovery.watch('routing');
  const timing = new Timing();
  const instances = new Instances('routing', watch, timing);
  const order = rank('key', watch.instances()).map(({ address }) => address);
  const silent = new Set<string>();
  const failing = new Map<string, Error>();
  const asked: string[] = [];
  const call = ({ address }: Instance): Promise<string> => {
    asked.push(address);
    const error = failing.get(address);
    if (error !== undefined) return Promise.reject(error);
    return silent.has(address) ? new Promise(() => undefined) : Promise.resolve(address);
  };
  const [first = '', second = '', third = ''] = order;
  return { instances, timing, silent, failing, asked, call, first, second, third };
}

const turn = (): Promise<void> => new Promise(setImmediate);

describe('asking instances', () => {
  it('asks the next as well when the first says nothing to anyone, and takes the first answer', async () => {
    const { instances, timing, silent, asked, call, first, second } = await three();
    silent.add(first);
    const answer = instances.ask('key', true, call);
    await turn();
    timing.advance(799);
    expect(asked).toEqual([first]);
    timing.advance(1);
    expect(await answer).toBe(second);
    expect(asked).toEqual([first, second]);
  });

  it('waits for an instance that answers others', async () => {
    const { instances, timing, asked, first } = await three();
    const slow = Promise.withResolvers<string>();
    const answer = instances.ask('key', true, ({ address }) => {
      asked.push(address);
      return slow.promise;
    });
    timing.advance(500);
    await instances.ask('key', true, async ({ address }) => address);
    timing.advance(400);
    expect(asked).toEqual([first]);
    slow.resolve('late');
    expect(await answer).toBe('late');
  });

  it('does not ask a second instance for what may not be repeated, unless the first was never asked', async () => {
    const { instances, timing, silent, failing, asked, call, first, second } = await three();
    silent.add(first);
    void instances.ask('key', false, call);
    await turn();
    timing.advance(5_000);
    expect(asked).toEqual([first]);
    failing.set(first, new LinkDown('broken', true));
    await expect(instances.ask('key', false, call)).rejects.toMatchObject({ sent: true });
    failing.set(first, new ParleyError('unavailable', 'busy'));
    const { instances: fresh } = await three();
    await expect(fresh.ask('key', false, call)).rejects.toThrow('busy');
    failing.set(first, new LinkDown('refused', false));
    expect(await fresh.ask('key', false, call)).toBe(second);
  });

  it('asks an instance whose link failed last, and after a while one call tries it again', async () => {
    const { instances, timing, failing, asked, call, first, second } = await three();
    failing.set(first, new LinkDown('refused', false));
    expect(await instances.ask('key', true, call)).toBe(second);
    asked.length = 0;
    await instances.ask('key', true, call);
    expect(asked).toEqual([second]);
    timing.advance(5_000);
    failing.clear();
    const tried = instances.ask('key', true, call);
    const beside = instances.ask('key', true, call);
    expect([await tried, await beside]).toEqual([first, second]);
    expect(await instances.ask('key', true, call)).toBe(first);
  });

  it('keeps to an instance whose service refused: its link is well', async () => {
    const { instances, failing, asked, call, first, second } = await three();
    failing.set(first, new ParleyError('unavailable', 'a moment'));
    expect(await instances.ask('key', true, call)).toBe(second);
    expect(await instances.ask('key', true, call)).toBe(second);
    expect(asked).toEqual([first, second, first, second]);
  });

  it('tells the last refusal when all refuse, also those that were asked for another’s silence', async () => {
    const { instances, timing, silent, failing, call, first, second, third } = await three();
    silent.add(first);
    failing.set(second, new LinkDown('refused', false));
    failing.set(third, new ParleyError('forbidden', 'no'));
    const answer = instances.ask('key', true, call);
    await turn();
    timing.advance(800);
    await expect(answer).rejects.toMatchObject({ code: 'forbidden' });
    expect(timing.pending).toBe(0);
  });
});

describe('a command', () => {
  it('is repeated only where a repeat is answered as the first was', () => {
    const bodies: [CommandBody, boolean][] = [
      [{ kind: 'message', clientId: 'a', content: { type: 'text', text: 'x' } }, true],
      [{ kind: 'edit', targetSeq: 1, content: { type: 'text', text: 'x' } }, true],
      [{ kind: 'reaction', targetSeq: 1, emoji: 'x', op: 'add' }, true],
      [{ kind: 'pin', targetSeq: 1, op: 'add' }, true],
      [{ kind: 'join' }, true],
      [{ kind: 'member', op: 'added', userIds: [] }, true],
      [{ kind: 'settings', changes: { name: 'x' } }, true],
      [{ kind: 'delete', targetSeq: 1 }, false],
      [{ kind: 'leave' }, false],
      [{ kind: 'member', op: 'removed', userIds: [] }, false],
      [{ kind: 'member', op: 'role', userIds: [], role: 'admin' }, false],
      [{ kind: 'settings', changes: { deleted: true } }, false],
    ];
    for (const [body, may] of bodies) expect([body, repeatable(body)]).toEqual([body, may]);
  });
});
