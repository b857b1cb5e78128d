import { enableCompileCache } from 'node:module';

enableCompileCache();

const STOP_DEADLINE_MS = 15_000;

const { startStandalone } = await import('./standalone.js');
const { ConfigError } = await import('@parley/service-kit');

try {
  const standalone = await startStandalone(process.env, (reason) => stop(reason, 1));
  const { log } = standalone.context;
  process.stdout.write(welcome(standalone.port));
  let stopping = false;
  function stop(reason: string, code: number): void {
    if (stopping) return;
    stopping = true;
    log.info({ reason }, 'stopping');
    setTimeout(() => {
      log.error('did not stop in time');
      process.exit(1);
    }, STOP_DEADLINE_MS).unref();
    standalone.stop().then(
      () => process.exit(code),
      (error: unknown) => {
        log.error({ err: error }, 'stopping failed');
        process.exit(1);
      },
    );
  }
  process.on('SIGTERM', () => stop('SIGTERM', 0));
  process.on('SIGINT', () => stop('SIGINT', 0));
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(78);
}

function welcome(port: number): string {
  const url = `http://localhost:${port}`;
  return `
Parley is ready: ${url}   (API: ${url}/docs)

A first message:

  TOKEN=$(curl -s ${url}/v1/auth/register -H 'content-type: application/json' \\
    -d '{"username":"ada","password":"correct horse"}' | sed 's/.*"accessToken":"\\([^"]*\\)".*/\\1/')
  CHANNEL=$(curl -s ${url}/v1/conversations -H "authorization: Bearer $TOKEN" -H 'content-type: application/json' \\
    -d '{"type":"channel","name":"general","visibility":"public"}' | sed 's/.*"id":"\\([^"]*\\)","type".*/\\1/')
  curl -s ${url}/v1/conversations/$CHANNEL/messages -H "authorization: Bearer $TOKEN" -H 'content-type: application/json' \\
    -d '{"clientId":"1","content":{"type":"text","text":"Hello, Parley"}}'

`;
}
