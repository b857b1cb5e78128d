/** Rules about the files themselves: no registry host, no absolute path of a machine, versions that agree. */
import { readFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';

const problems = [];
const files = spawnSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '-z'], { encoding: 'utf8' })
  .stdout.split('\0')
  .filter((file) => file !== '' && !file.startsWith('tools/replay/data/') && !file.startsWith('tools/ci/check-'));

const forbidden = [
  [
    /registry\.npmjs|npmjs\.org\/|repo1?\.maven|proxy\.golang|static\.crates|deb\.debian\.org|files\.pythonhosted/,
    'names a registry host',
  ],
  [/(?:^|[\s"'`=(])\/(?:home|root|Users|work)\/[a-z]/m, 'has an absolute path of a machine'],
];
for (const file of files) {
  let text;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    continue;
  }
  for (const [pattern, what] of forbidden) if (pattern.test(text)) problems.push(`${file} ${what}`);
}

const manifests = files.filter(
  (file) => /^(?:apps|libs|tools)\/[^/]+\/package\.json$/.test(file) || file === 'package.json',
);
const read = (file) => JSON.parse(readFileSync(file, 'utf8'));
const version = read('package.json').version;
const root = read('package.json');
for (const file of manifests) {
  const manifest = read(file);
  if (manifest.version !== version) problems.push(`${file} has version ${manifest.version}, not ${version}`);
  if (manifest.license !== 'Apache-2.0') problems.push(`${file} has no Apache-2.0 licence`);
  for (const [name, range] of Object.entries(manifest.dependencies ?? {})) {
    const wanted = root.dependencies?.[name] ?? root.devDependencies?.[name];
    if (wanted !== undefined && wanted !== range) problems.push(`${file} wants ${name} ${range}, the root ${wanted}`);
  }
}
const source = readFileSync('apps/standalone/src/standalone.ts', 'utf8');
if (!source.includes(`VERSION = '${version}'`))
  problems.push(`apps/standalone/src/standalone.ts has another version than ${version}`);

const lock = read('package-lock.json');
for (const [name, entry] of Object.entries(lock.packages)) {
  if (typeof entry.resolved === 'string' && /^https?:/.test(entry.resolved))
    problems.push(`package-lock.json: ${name} names a host`);
}

for (const problem of problems) console.log(problem);
process.exit(problems.length === 0 ? 0 : 1);
