/**
 * Everything that `make test` checks, one after the other, and one line at the end that counts all of it. A check that
 * cannot be run has failed. `--checks-only` leaves out the tests.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const checks = [
  ['formatting', 'prettier', ['--check', '--log-level', 'warn', '.']],
  ['lint, layers, import cycles', 'eslint', ['.', '--max-warnings', '0']],
  ['types', 'tsc', ['-p', 'tsconfig.json', '--noEmit']],
  ['protobuf lint', 'buf', ['lint']],
  ['protobuf compatibility', process.execPath, ['tools/ci/check-protobuf.mjs']],
  ['lock file', process.execPath, ['tools/ci/complete-lock.mjs', '--check']],
  ['repository rules', process.execPath, ['tools/ci/check-repository.mjs']],
];

const totals = { passed: 0, failed: 0, skipped: 0 };
const skips = [];

for (const [name, command, args] of checks) {
  const startedMs = Date.now();
  const { code, output } = await run(command, args);
  const seconds = ((Date.now() - startedMs) / 1_000).toFixed(1);
  console.log(`${code === 0 ? 'ok  ' : 'FAIL'} ${name} (${seconds} s)`);
  if (code !== 0) console.log(output.trimEnd());
  totals[code === 0 ? 'passed' : 'failed'] += 1;
}

if (!process.argv.includes('--checks-only')) await jest();

for (const skip of skips) console.log(`skipped: ${skip}`);
console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
process.exitCode = totals.failed === 0 ? 0 : 1;

async function jest() {
  const folder = await mkdtemp(join(tmpdir(), 'parley-tests-'));
  const report = join(folder, 'jest.json');
  const env = { NODE_OPTIONS: '--experimental-vm-modules --no-warnings', PARLEY_SKIPS: join(folder, 'skips') };
  try {
    const { code } = await run('jest', ['--ci', '--json', `--outputFile=${report}`], env, true);
    const result = JSON.parse(await readFile(report, 'utf8'));
    totals.passed += result.numPassedTests;
    totals.failed += result.numFailedTests + result.numRuntimeErrorTestSuites;
    totals.skipped += result.numPendingTests + result.numTodoTests;
    for (const file of result.testResults) {
      for (const test of file.assertionResults) {
        if (test.status === 'pending' || test.status === 'todo') skips.push(`${test.fullName}: marked as such`);
      }
    }
    if (code !== 0 && totals.failed === 0) totals.failed += 1;
    if (result.numPassedTests === 0) totals.failed += 1;
  } catch (error) {
    console.log(`FAIL the tests did not run: ${error.message}`);
    totals.failed += 1;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** With `live`, what the command says on its error stream (jest's progress) is shown as it comes. */
function run(command, args, env = {}, live = false) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', live ? 'inherit' : 'pipe'],
    });
    let output = '';
    child.stdout.on('data', (chunk) => (output += live ? '' : chunk));
    child.stderr?.on('data', (chunk) => (output += chunk));
    child.on('error', (error) => resolve({ code: 1, output: `${command}: ${error.message}` }));
    child.on('close', (code) => resolve({ code: code ?? 1, output }));
  });
}
