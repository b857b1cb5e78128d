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
const source = readFileSync('libs/service-kit/src/version.ts', 'utf8');
if (!source.includes(`VERSION = '${version}'`))
  problems.push(`libs/service-kit/src/version.ts has another version than ${version}`);

const flags = /^NODE_FLAGS := (.*)$/m.exec(readFileSync('Makefile', 'utf8'))?.[1];
if (!readFileSync('tools/load/src/server-process.ts', 'utf8').includes(`['${flags}']`)) {
  problems.push(`tools/load/src/server-process.ts does not run the server with ${flags}, as make start does`);
}

const lock = read('package-lock.json');
for (const [name, entry] of Object.entries(lock.packages)) {
  if (typeof entry.resolved === 'string' && /^https?:/.test(entry.resolved))
    problems.push(`package-lock.json: ${name} names a host`);
}

// Documents that name what the code has.
const settingsDocument = readFileSync('docs/configuration.md', 'utf8');
const metricsDocument = readFileSync('docs/observability.md', 'utf8');
for (const file of files.filter(
  (name) => /^(?:apps|libs)\/[^/]+\/src\/.*\.ts$/.test(name) && !/\.spec\.ts$|-fixture\.ts$/.test(name),
)) {
  const text = readFileSync(file, 'utf8');
  if (file.endsWith('/config.ts')) {
    for (const [, name, value] of text.matchAll(/^ {2}((?:PARLEY|OTEL)_[A-Z_]+): (.*)$/gm)) {
      const row = settingsDocument.split('\n').find((line) => line.startsWith(`| \`${name}\``));
      const fallback = /^intSetting\((-?[\d_]+),/.exec(value)?.[1]?.replaceAll('_', '');
      if (row === undefined) problems.push(`docs/configuration.md does not have ${name} of ${file}`);
      else if (fallback !== undefined && !row.includes(`\`${fallback}\``))
        problems.push(`docs/configuration.md: ${name} is ${fallback} in ${file}`);
    }
  }
  for (const [, name] of text.matchAll(/'(parley_[a-z_]+)'/g)) {
    if (!metricsDocument.includes(name)) problems.push(`docs/observability.md does not have ${name} of ${file}`);
  }
}

for (const problem of problems) console.log(problem);
process.exit(problems.length === 0 ? 0 : 1);
