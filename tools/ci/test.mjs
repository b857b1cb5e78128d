/**
 * Everything that `make test` checks, one after the other, and one line at the end that counts all of it. A check that
 * cannot be run has failed. `--checks-only` leaves out the tests.
 */
import { Totals } from './totals.mjs';

const checks = [
  ['formatting', 'prettier', ['--check', '--log-level', 'warn', '.']],
  ['lint, layers, import cycles', 'eslint', ['.', '--max-warnings', '0']],
  ['types', 'tsc', ['-p', 'tsconfig.json', '--noEmit']],
  ['protobuf lint', 'buf', ['lint']],
  ['protobuf compatibility', process.execPath, ['tools/ci/check-protobuf.mjs']],
  ['generated code', process.execPath, ['tools/ci/check-generated.mjs']],
  ['lock file', process.execPath, ['tools/ci/complete-lock.mjs', '--check']],
  ['repository rules', process.execPath, ['tools/ci/check-repository.mjs']],
];

const totals = new Totals();
for (const [name, command, args] of checks) await totals.command(name, command, args);
if (!process.argv.includes('--checks-only')) await totals.jest([]);
totals.report();
