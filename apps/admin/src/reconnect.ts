import { describeReconnect, simulateReconnect } from '@parley/discovery/simulation';

export interface ReconnectOptions {
  readonly clients: number;
  readonly servers: number;
  readonly capacity: number;
  readonly connections: number;
  readonly gateways: number;
  readonly handshakes: number;
  readonly assignments: number;
}

const PER_LINE = 10;

/**
 * What happens when a chat server dies with so many clients: arrivals in each 100 ms at those that remain, how full they
 * get, and when everyone is back. In simulated time, with the assignment and backoff that gateways and clients use.
 */
export function simulate(options: ReconnectOptions, print: (line: string) => void): void {
  const outcome = simulateReconnect({
    clients: options.clients,
    servers: Array.from({ length: options.servers }, () => ({
      capacity: options.capacity,
      connections: options.connections,
    })),
    gateways: options.gateways,
    handshakesPerSecond: options.handshakes,
    assignmentsPerSecond: options.assignments,
    random: Math.random,
  });
  print('second: sessions opened in each of its ten slices of 100 ms');
  for (let at = 0; at < outcome.arrivals.length; at += PER_LINE) {
    const slices = Array.from(outcome.arrivals.slice(at, at + PER_LINE));
    print(`${String(at / PER_LINE).padStart(6)}: ${slices.map((count) => String(count).padStart(5)).join('')}`);
  }
  print(describeReconnect(outcome));
}
