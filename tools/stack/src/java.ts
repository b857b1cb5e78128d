import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { exclusive } from './exclusive.js';
import { exists, isExecutable } from './files.js';
import { findProgram, programOf, run } from './run.js';

/** The newest that Cassandra 5.0 runs on, and the oldest that Kafka 4 runs on. */
const JAVA_MAJOR = 17;
const JVM_FOLDER = '/usr/lib/jvm';

/** `group:artifact:version` of Maven. */
export type Artifact = `${string}:${string}:${string}`;

export async function missingJavaPackages(libraryFolder: string): Promise<readonly string[]> {
  const missing: string[] = [];
  if ((await findJava()) === undefined) missing.push(`openjdk-${JAVA_MAJOR}-jdk-headless`);
  if (!(await exists(libraryFolder)) && (await findProgram('mvn')) === undefined) missing.push('maven');
  return missing;
}

export async function javaProgram(): Promise<string> {
  const java = await findJava();
  if (java === undefined) throw new Error(`Java ${JAVA_MAJOR} is not installed`);
  return java;
}

/**
 * The artifacts and all that they need, as jars in a folder that is there with all of them or not at all. Maven fetches
 * them from where it is set up to; its own store is not made for two at once, so one after the other.
 */
export async function installJars(
  folder: string,
  artifacts: readonly Artifact[],
  { cacheFolder, signal }: { readonly cacheFolder: string; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  if (await exists(folder)) return;
  await exclusive(cacheFolder, async () => {
    if (await exists(folder)) return;
    const partial = `${folder}.partial`;
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial, { recursive: true });
    await writeFile(join(partial, 'pom.xml'), projectOf(artifacts));
    const copy = ['dependency:copy-dependencies', '-DoutputDirectory=lib', '-DincludeScope=runtime'];
    await run(await programOf('mvn'), ['-q', '-B', '-ntp', '-Dstyle.color=never', ...copy], { cwd: partial, signal });
    await rename(partial, folder);
  });
}

function projectOf(artifacts: readonly Artifact[]): string {
  const dependencies = artifacts.map((artifact) => {
    const [group, name, version] = artifact.split(':');
    return `<dependency><groupId>${group}</groupId><artifactId>${name}</artifactId><version>${version}</version></dependency>`;
  });
  return [
    '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>',
    '<groupId>parley</groupId><artifactId>engine</artifactId><version>1</version>',
    `<dependencies>${dependencies.join('\n')}</dependencies></project>\n`,
  ].join('\n');
}

/** A machine may have several; the one that runs as `java` need not be the one wanted. */
async function findJava(): Promise<string | undefined> {
  const home = process.env['JAVA_HOME'];
  const candidates = [
    ...(home === undefined ? [] : [join(home, 'bin', 'java')]),
    ...(await installedRuntimes()),
    await findProgram('java'),
  ];
  for (const candidate of candidates) {
    if (candidate === undefined || !(await isExecutable(candidate))) continue;
    if ((await run(candidate, ['-version'])).includes(`version "${JAVA_MAJOR}.`)) return candidate;
  }
  return undefined;
}

async function installedRuntimes(): Promise<readonly string[]> {
  if (!(await exists(JVM_FOLDER))) return [];
  const names = await readdir(JVM_FOLDER);
  return names.filter((name) => name.includes(`-${JAVA_MAJOR}-`)).map((name) => join(JVM_FOLDER, name, 'bin', 'java'));
}
