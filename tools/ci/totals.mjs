/** Runs commands and suites, and counts what came of them: one line at the end says it all. */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export class Totals {
  #passed = 0;
  #failed = 0;
  #skipped = 0;
  #skips = [];

  /** Something that holds or does not; a check that cannot be run has failed. */
  async check(name, run) {
    const startedMs = Date.now();
    let problem;
    try {
      problem = await run();
    } catch (error) {
      problem = error instanceof Error ? (error.stack ?? error.message) : String(error);
    }
    const seconds = ((Date.now() - startedMs) / 1_000).toFixed(1);
    console.log(`${problem === undefined ? 'ok  ' : 'FAIL'} ${name} (${seconds} s)`);
    if (problem === undefined) this.#passed += 1;
    else {
      this.#failed += 1;
      console.log(problem.trimEnd());
    }
  }

  /** A program whose exit code says whether it holds; what it says is shown only when it does not. */
  command(name, command, args, env) {
    return this.check(name, async () => {
      const { code, output } = await run(command, args, env);
      return code === 0 ? undefined : output;
    });
  }

  /** All tests that jest finds with these arguments. */
  async jest(args, env = {}) {
    const folder = await mkdtemp(join(tmpdir(), 'parley-tests-'));
    const report = join(folder, 'jest.json');
    const options = { NODE_OPTIONS: '--experimental-vm-modules --no-warnings', ...env };
    try {
      const { code } = await run('jest', ['--ci', '--json', `--outputFile=${report}`, ...args], options, true);
      const result = JSON.parse(await readFile(report, 'utf8'));
      const failed = result.numFailedTests + result.numRuntimeErrorTestSuites;
      this.#passed += result.numPassedTests;
      this.#skipped += result.numPendingTests + result.numTodoTests;
      for (const file of result.testResults) {
        for (const test of file.assertionResults) {
          if (test.status === 'pending' || test.status === 'todo') {
            this.#skips.push(`${test.fullName} (its reason stands above, or it is marked as such)`);
          }
        }
      }
      this.#failed += failed;
      if ((code !== 0 && failed === 0) || result.numPassedTests === 0) this.#failed += 1;
    } catch (error) {
      console.log(`FAIL the tests did not run: ${error.message}`);
      this.#failed += 1;
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** Says what was counted; the process ends accordingly. */
  report() {
    for (const skip of this.#skips) console.log(`skipped: ${skip}`);
    console.log(`${this.#passed} passed, ${this.#failed} failed, ${this.#skipped} skipped`);
    process.exitCode = this.#failed === 0 ? 0 : 1;
  }
}

/** With `live`, what the command says on its error stream (jest's progress) is shown as it comes. */
export function run(command, args, env = {}, live = false) {
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
