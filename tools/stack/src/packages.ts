import { exclusive } from './exclusive.js';
import { findProgram, run } from './run.js';

const LOCK_TIMEOUT = ['-o', 'DPkg::Lock::Timeout=300'];

/** Installs Debian packages when that is possible, and otherwise says which ones somebody has to install. */
export async function installPackages(packages: readonly string[], signal?: AbortSignal): Promise<void> {
  if (packages.length === 0) return;
  const apt = await findProgram('apt-get');
  if (apt === undefined) throw new Error(`not installed, and this is no Debian or Ubuntu: ${packages.join(', ')}`);
  if (process.getuid?.() !== 0) {
    throw new Error(
      `not installed: run \`sudo apt-get install ${packages.join(' ')}\` once, then start the stack again`,
    );
  }
  await exclusive('/var/lib/apt', async () => {
    await run(apt, [...LOCK_TIMEOUT, 'update', '-qq'], { signal });
    // The packages bring services of the system, which are not what runs here: RUNLEVEL keeps them from being started.
    await run(apt, [...LOCK_TIMEOUT, 'install', '-y', '-qq', '--no-install-recommends', ...packages], {
      env: { DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
      signal,
    });
  });
}

/** The packages of those programs that are not there. */
export async function packagesFor(programs: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const missing: string[] = [];
  for (const [program, name] of Object.entries(programs)) {
    if ((await findProgram(program)) === undefined) missing.push(name);
  }
  return missing;
}
