/**
 * Completes package-lock.json: npm leaves out optional packages of other platforms when the registry at hand does not
 * offer them, and `npm ci` then refuses the lock file as out of step. Run after every `npm install` that changes it:
 * `node tools/ci/complete-lock.mjs`; with `--check` it only says what is missing.
 */
import { readFileSync, writeFileSync } from 'node:fs';

const SYSTEMS = ['darwin', 'linux', 'win32', 'freebsd', 'openbsd', 'netbsd', 'android', 'sunos', 'openharmony', 'aix'];
const PROCESSORS = [
  'x64',
  'arm64',
  'arm',
  'armv7',
  'ia32',
  'ppc64',
  's390x',
  'riscv64',
  'loong64',
  'mips64el',
  'wasm32',
];

const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'));
const missing = [];
for (const [at, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const nested = `${at}/node_modules/${name}`;
    if (lock.packages[nested] !== undefined || lock.packages[`node_modules/${name}`] !== undefined) continue;
    missing.push(name);
    const words = name.split(/[-/]/);
    const os = SYSTEMS.filter((system) => words.includes(system));
    const libc = words.includes('musl') ? ['musl'] : words.includes('gnu') ? ['glibc'] : [];
    const cpu = PROCESSORS.filter((processor) => words.includes(processor));
    lock.packages[`node_modules/${name}`] = {
      version: version.replace(/^[\^~=]/, ''),
      ...(cpu.length === 0 ? {} : { cpu: cpu.map((processor) => (processor === 'armv7' ? 'arm' : processor)) }),
      ...(entry.dev === true ? { dev: true } : {}),
      ...(libc.length === 0 || !os.includes('linux') ? {} : { libc }),
      optional: true,
      ...(os.length === 0 ? {} : { os }),
    };
  }
}

if (process.argv.includes('--check')) {
  for (const name of missing) console.log(`package-lock.json lacks ${name}: run node tools/ci/complete-lock.mjs`);
  process.exit(missing.length === 0 ? 0 : 1);
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync('package-lock.json', `${JSON.stringify(lock, null, 2)}\n`);
console.log(`${missing.length} added`);
