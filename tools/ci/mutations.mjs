/**
 * Breaks, one after the other and in a copy, the lines that the promises rest on, and runs the tests that must notice.
 * Exits with 1 if a broken line goes unnoticed. `--table` prints the table of docs/invariants.md; a word picks the
 * mutations whose promise or file contains it.
 *
 *   node_modules/.bin/node tools/ci/mutations.mjs [P2] [--table]
 */
import { spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { mutations } from './mutations.list.mjs';

const ROOT = resolve(import.meta.dirname, '../..');
/** A test that hangs on a broken line has noticed it. */
const RUN_MAX_MS = 120_000;
const RUN_MAX_MIB = 1_500;
const COPIED = ['apps', 'libs', 'jest.config.mjs', 'package.json', 'tsconfig.json', 'tsconfig.base.json'];

const { values, positionals } = parseArgs({ options: { table: { type: 'boolean' } }, allowPositionals: true });
const chosen = mutations.filter(({ promise, file }) =>
  positionals.every((word) => promise === word || file.includes(word)),
);

const copy = await copyOf(ROOT);
let survivors = 0;
try {
  const unbroken = await run(copy, [...new Set(chosen.flatMap(({ tests }) => tests))]);
  if (unbroken.failed.length > 0) throw new Error(`These fail on the unbroken code: ${unbroken.failed.join('; ')}`);
  for (const mutation of chosen) {
    const { failed, seconds } = await mutated(mutation);
    if (failed.length === 0) survivors += 1;
    console.log(values.table ? row(mutation, failed) : line(mutation, failed, seconds));
  }
} finally {
  await rm(copy, { recursive: true, force: true });
}
if (!values.table) console.log(`${chosen.length - survivors} of ${chosen.length} broken lines were noticed`);
process.exitCode = survivors === 0 ? 0 : 1;

async function mutated({ file, find, replace, tests }) {
  const path = join(copy, file);
  const source = await readFile(path, 'utf8');
  const places = source.split(find).length - 1;
  if (places !== 1) throw new Error(`${file}: found ${places} times, not once: ${find}`);
  await writeFile(
    path,
    source.replace(find, () => replace),
  );
  try {
    return await run(copy, tests);
  } finally {
    await writeFile(path, source);
  }
}

function line({ promise, file, find, why }, failed, seconds) {
  const verdict = failed.length === 0 ? 'SURVIVED' : 'noticed ';
  const by = failed.map((name) => `\n      ${name}`).join('');
  return `${verdict} ${promise} ${why} (${seconds.toFixed(1)} s)\n    ${file}: ${oneLine(find)}${by}`;
}

function row({ promise, file, find, replace, why }, failed) {
  const code = (text) => (text === '' ? 'nothing' : `\`${oneLine(text).replaceAll('|', '\\|')}\``);
  const by = failed.slice(0, 3).map((name) => name.replaceAll('|', '\\|'));
  if (failed.length > 3) by.push(`and ${failed.length - 3} more`);
  const noticed = failed.length === 0 ? '**nobody**' : by.join('<br>');
  return `| ${promise} | ${why} | \`${file}\`<br>${code(find)} → ${code(replace)} | ${noticed} |`;
}

function oneLine(text) {
  return text.trim().replaceAll(/\s+/g, ' ');
}

/**
 * Names of the tests that failed; a run that does not end, or takes all memory, has failed as a whole. What could not be
 * run at all has noticed nothing, and ends the program.
 */
async function run(folder, tests) {
  const startedMs = Date.now();
  const report = join(folder, 'report.json');
  await rm(report, { force: true });
  const jest = join(folder, 'node_modules/jest/bin/jest.js');
  const options = ['--ci', '--silent', '--json', `--outputFile=${report}`, '--testTimeout=10000', '--forceExit'];
  const node = ['--experimental-vm-modules', '--no-warnings', `--max-old-space-size=${RUN_MAX_MIB}`];
  const { signal, errors } = await spawned(process.execPath, [...node, jest, ...options, ...tests]);
  const seconds = (Date.now() - startedMs) / 1_000;
  const result = await readFile(report, 'utf8').then(JSON.parse, () => null);
  if (result === null && signal === 'SIGKILL') return { failed: ['(does not end)'], seconds };
  if (result === null && signal === 'SIGABRT') return { failed: ['(takes all memory)'], seconds };
  if (result === null) throw new Error(`The tests could not be run: ${errors.slice(-2_000)}`);
  const files = new Set(result.testResults.map(({ name }) => name.slice(folder.length + 1)));
  const missing = tests.filter((test) => !files.has(test));
  if (missing.length > 0) throw new Error(`There is no ${missing.join(', ')}`);
  const failed = result.testResults.flatMap(({ name, assertionResults, status }) => {
    const names = assertionResults.filter((test) => test.status === 'failed').map(({ fullName }) => fullName);
    if (names.length === 0 && status === 'failed') throw new Error(`${name.slice(folder.length + 1)} does not load`);
    return names;
  });
  return { failed, seconds };
}

function spawned(command, args) {
  return new Promise((resolveExit, reject) => {
    const child = spawn(command, args, { cwd: copy, stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    child.stderr.on('data', (chunk) => (errors = `${errors}${chunk}`.slice(-20_000)));
    const timer = setTimeout(() => child.kill('SIGKILL'), RUN_MAX_MS);
    child.on('error', reject);
    child.on('close', (_code, signal) => {
      clearTimeout(timer);
      resolveExit({ signal, errors });
    });
  });
}

/** The sources, and node_modules by links: those of our own packages lead into the copy. */
async function copyOf(root) {
  const folder = await mkdtemp(join(tmpdir(), 'parley-mutations-'));
  const skip = /\/(node_modules|dist)(\/|$)/;
  for (const name of COPIED) {
    await cp(join(root, name), join(folder, name), {
      recursive: true,
      // The log's thread runs what is compiled of the contracts.
      filter: (path) =>
        !skip.test(path.slice(root.length)) || path.slice(root.length).startsWith('/libs/contracts/dist'),
    });
  }
  // The configuration names this folder as a root.
  await mkdir(join(folder, 'tools'));
  const modules = join(folder, 'node_modules');
  await mkdir(join(modules, '@parley'), { recursive: true });
  for (const name of await readdir(join(root, 'node_modules'))) {
    if (name !== '@parley' && name !== '.cache') await symlink(join(root, 'node_modules', name), join(modules, name));
  }
  for (const name of await readdir(join(root, 'node_modules/@parley'))) {
    await symlink(await readlink(join(root, 'node_modules/@parley', name)), join(modules, '@parley', name));
  }
  return folder;
}
