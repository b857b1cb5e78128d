import { describe, expect, it } from '@jest/globals';

import { ENGINES } from './engine.js';
import { choosePorts, portsOf } from './ports.js';

const SHAPE = { nodes: 3, redis: 'cluster' } as const;
const free = (): Promise<boolean> => Promise.resolve(true);
const numbersOf = (ports: Awaited<ReturnType<typeof choosePorts>>, shape = SHAPE): number[] =>
  ENGINES.flatMap((engine) => [...new Set(portsOf(engine, ports[engine], shape).map(({ port }) => port))]);

describe('the ports of a stack', () => {
  it('are below those of outgoing connections, and no two alike', async () => {
    const numbers = numbersOf(await choosePorts({ shape: SHAPE, isFree: free, ephemeralFrom: 21_500 }));
    expect(Math.max(...numbers)).toBeLessThan(21_500);
    expect(new Set(numbers).size).toBe(numbers.length);
  });

  it('are not those of another stack', async () => {
    const draws = [0, 0.5, 0.1, 0.2, 0.3, 0.4];
    const ports = await choosePorts({
      shape: { nodes: 1, redis: 'single' },
      taken: new Set([20_000]),
      random: () => draws.shift() ?? 0.9,
      isFree: free,
      ephemeralFrom: 30_000,
    });
    expect(ports.kafka).toBe(25_000);
  });

  it('are passed over if any that goes with them is in use', async () => {
    const draws = [0, 0.5, 0.1, 0.2, 0.3, 0.4];
    const ports = await choosePorts({
      shape: SHAPE,
      random: () => draws.shift() ?? 0.9,
      isFree: (_, port) => Promise.resolve(port !== 20_102), // of the third broker towards the others
      ephemeralFrom: 30_000,
    });
    expect(ports.kafka).toBe(25_000);
  });

  it('are those that were configured, and the others keep away from them', async () => {
    const draws = [0, 0.5, 0.1, 0.2, 0.3, 0.4];
    const ports = await choosePorts({
      shape: SHAPE,
      configured: { mysql: 20_001 },
      random: () => draws.shift() ?? 0.9,
      isFree: free,
      ephemeralFrom: 30_000,
    });
    expect(ports).toMatchObject({ mysql: 20_001, kafka: 25_000 });
  });

  it('are an error when there are none', async () => {
    const choice = choosePorts({ shape: SHAPE, isFree: () => Promise.resolve(false), ephemeralFrom: 30_000 });
    await expect(choice).rejects.toThrow('no free ports for kafka between 20000 and 30000');
  });

  it('differ by address for Cassandra, whose drivers expect one port for all nodes', () => {
    expect(portsOf('cassandra', 20_000, SHAPE)).toContainEqual({ host: '127.0.0.3', port: 20_000 });
    expect(portsOf('kafka', 20_000, SHAPE)).toContainEqual({ host: '127.0.0.1', port: 20_002 });
  });
});
