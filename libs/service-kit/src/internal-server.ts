import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { Metrics } from './metrics.js';

/** Whether a process may take traffic, by named condition. */
export class Readiness {
  readonly #conditions = new Map<string, boolean>();

  set(condition: string, met: boolean): void {
    this.#conditions.set(condition, met);
  }

  get ready(): boolean {
    return this.#conditions.size > 0 && [...this.#conditions.values()].every(Boolean);
  }

  report(): { readonly ready: boolean; readonly conditions: Readonly<Record<string, boolean>> } {
    return { ready: this.ready, conditions: Object.fromEntries(this.#conditions) };
  }
}

export interface InternalServer {
  readonly port: number;
  close(): Promise<void>;
}

/** The port for the platform: `/healthz` (alive), `/readyz` (may take traffic), `/metrics` (Prometheus). */
export async function startInternalServer(options: {
  readonly port: number;
  readonly host: string | undefined;
  readonly readiness: Readiness;
  readonly metrics: Metrics;
}): Promise<InternalServer> {
  const server = createServer((request, response) => {
    const json = (status: number, body: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
      response.end(JSON.stringify(body));
    };
    switch (request.url?.split('?')[0]) {
      case '/healthz':
        return json(200, { alive: true });
      case '/readyz':
        return json(options.readiness.ready ? 200 : 503, options.readiness.report());
      case '/metrics':
        options.metrics.registry.metrics().then(
          (text) => response.writeHead(200, { 'content-type': options.metrics.registry.contentType }).end(text),
          (error: unknown) => json(500, { error: String(error) }),
        );
        return;
      default:
        return json(404, { paths: ['/healthz', '/readyz', '/metrics'] });
    }
  });
  await listen(server, options.port, options.host);
  return {
    port: portOf(server),
    close: () => closeServer(server),
  };
}

export function listen(server: Server, port: number, host: string | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, ...(host === undefined ? {} : { host }), backlog: 4_096 }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

export function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

export function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
