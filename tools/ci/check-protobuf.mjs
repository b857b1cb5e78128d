/** Messages between versions of services must stay readable: compares with the last commit that has them. */
import { spawnSync } from 'node:child_process';

const git = (...args) => spawnSync('git', args, { encoding: 'utf8' });
const changed = git('diff', '--quiet', 'HEAD', '--', 'libs/contracts/proto').status !== 0;
const base = changed ? 'HEAD' : 'HEAD~1';
const known = git('cat-file', '-e', `${base}:libs/contracts/proto`).status === 0;
if (!known) {
  console.log(`${base} has no protobuf files to compare with`);
  process.exit(0);
}
const commit = git('rev-parse', base).stdout.trim();
const { status, stdout, stderr } = spawnSync(
  'buf',
  ['breaking', '--against', `.git#ref=${commit},subdir=libs/contracts/proto`],
  {
    encoding: 'utf8',
  },
);
console.log(`${stdout}${stderr}`);
process.exit(status ?? 1);
