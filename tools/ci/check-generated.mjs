/** What is generated from the .proto files and committed must be what they generate: makes it again, elsewhere, and compares. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';

const OUT = 'libs/links/src/generated';

const filesOf = (folder) =>
  new Map(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((file) => [relative(folder, file), readFileSync(file, 'utf8')]),
  );

const folder = mkdtempSync(join(tmpdir(), 'parley-generated-'));
try {
  const { status, stdout, stderr } = spawnSync('buf', ['generate', '--output', folder], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`buf generate failed: ${stdout ?? ''}${stderr ?? ''}`);
  const [made, committed] = [filesOf(join(folder, OUT)), filesOf(OUT)];
  const differing = [...new Set([...made.keys(), ...committed.keys()])].filter(
    (file) => made.get(file) !== committed.get(file),
  );
  for (const file of differing) console.log(`${OUT}/${file} is not what the .proto files generate; run: buf generate`);
  process.exitCode = differing.length === 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
