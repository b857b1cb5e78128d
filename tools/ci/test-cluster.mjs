/**
 * What needs the real engines: every adapter's conformance suite against its server, then the end-to-end tests and a
 * replay of all logs over a cluster of processes. On stacks of its own, which are removed at the end.
 */
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

import { Cluster, logPrinter } from '@parley/cluster';
import { openStack } from '@parley/stack';

import { run, Totals } from './totals.mjs';

const cache = process.env.PARLEY_CACHE ?? join(homedir(), '.cache', 'parley');
const print = (line) => console.log(line);
const stackOf = (name, more) =>
  openStack({ folder: join(cache, 'stack', name), cacheFolder: join(cache, 'engines'), onProgress: progress, ...more });
const progress = (step) => {
  if (step.kind === 'installed') print(`${step.engine} ${step.version}, from ${step.from}`);
  if (step.kind === 'ready') print(`${step.engine} answers (${(step.tookMs / 1_000).toFixed(1)} s)`);
};

const totals = new Totals();
const opened = [];
const start = async (name, more) => {
  await (await stackOf(name, more)).wipe();
  const stack = await stackOf(name, more);
  opened.push(stack);
  await stack.start();
  return stack.environment();
};
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void close().finally(() => process.exit(130)));

let engines;
await totals.check('the stack', async () => {
  const [single, redisCluster] = await Promise.all([
    start('test'),
    start('test-redis-cluster', { engines: ['redis'], redis: 'cluster' }),
  ]);
  engines = { ...single, ...redisCluster };
});
if (engines !== undefined) {
  const single = { ...engines };
  delete single.PARLEY_REDIS_CLUSTER;
  await totals.jest(['--config', 'jest.cluster.config.mjs'], engines);
  await onCluster(single);
}
await close();
totals.report();

async function onCluster(env) {
  let cluster;
  const lines = [];
  await totals
    .check('the cluster: 2 gateways, 3 chat, 2 routing, 2 delivery, 2 presence, 1 push-notification', async () => {
      cluster = await Cluster.start({
        engines: env,
        env: { PARLEY_RATE_LIMITS: 'off', PARLEY_LOG_LEVEL: 'warn' },
        onLine: logPrinter((text) => void lines.push(text), false),
      });
    })
    .catch(() => undefined);
  if (cluster === undefined) {
    print(lines.slice(-50).join(''));
    return;
  }
  try {
    for (const [at, url] of cluster.urls.entries()) {
      await totals.check(`the README's first message through gateway ${at + 1}`, () => firstMessage(url, at));
    }
    const [url] = cluster.urls;
    await totals.jest(['tools/e2e'], { PARLEY_E2E_URL: url });
    await totals.check('all logs replayed at full speed', async () => {
      const { code, output } = await run(process.execPath, [
        'tools/replay/dist/main.js',
        '--url',
        url,
        '--speed',
        'max',
      ]);
      print(output.trimEnd());
      return code === 0 ? undefined : 'the history is not what it must be';
    });
  } finally {
    await cluster.stop();
  }
}

/** The commands of the README as they stand there, at another address and, because it was taken before, another name. */
async function firstMessage(url, number) {
  const readme = await readFile('README.md', 'utf8');
  const commands = /^```sh\n(TOKEN=[\s\S]*?)^```/m.exec(readme)?.[1];
  const program = /^```js\n([\s\S]*?)^```/m.exec(readme)?.[1];
  if (commands === undefined || program === undefined) return 'README.md has no first message';
  const here = (text) => text.replaceAll('http://localhost:8080', url).replaceAll('"ada"', `"ada${number}"`);
  const curl = await run('bash', ['-c', here(commands)]);
  if (JSON.parse(curl.output).seq !== 1) return `curl: ${curl.output}`;
  const socket = await run('timeout', ['10', process.execPath, '--input-type=module', '--eval', here(program)]);
  return socket.output.includes('heard 2 Hello over a socket') ? undefined : `socket: ${socket.output}`;
}

async function close() {
  for (const stack of opened.splice(0)) await stack.wipe();
}
