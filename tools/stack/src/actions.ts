import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Actions } from './cli.js';
import { renderEnvironment, environmentOf } from './environment.js';
import { logsOf, progressLine, seconds, statusLines } from './report.js';
import { findStack, openStack, type Stack } from './stack.js';

const LOG_LINES = 40;

export interface ActionsOptions {
  readonly cache: string;
  readonly print: (line: string) => void;
  /** Called by what can be interrupted in good order; everything else ends with the process. */
  readonly interruptible: () => AbortSignal;
}

/** The commands of the program over the stacks in `<cache>/stack/<name>`. */
export function stackActions({ cache, print, interruptible }: ActionsOptions): Actions {
  const cacheFolder = join(cache, 'engines');
  const folderOf = (name: string): string => join(cache, 'stack', name);

  return {
    async up({ name, only, nodes, redis, commitlog, port, fresh }) {
      const beganMs = performance.now();
      const folder = folderOf(name);
      if (fresh) await (await findStack({ folder, cacheFolder }))?.wipe();
      const stack = await openStack({
        ...{ folder, cacheFolder, nodes, redis, commitlog, engines: only },
        ports: port,
        onProgress: (progress) => {
          const line = progressLine(progress);
          if (line !== undefined) print(line);
        },
      });
      await stack.start({ signal: interruptible() });
      print(`Up after ${seconds(performance.now() - beganMs)}. Settings: ${stack.environmentFile}`);
      print(
        `Logs: ${join(folder, 'logs')}. Stop it with \`stack down\`${name === 'default' ? '' : ` --name ${name}`}.`,
      );
    },

    async down({ name, wipe }) {
      const stack = await findStack({ folder: folderOf(name), cacheFolder });
      if (stack === undefined) return print(`There is no stack ${name}.`);
      const beganMs = performance.now();
      const engines = stack.started();
      await (wipe ? stack.wipe() : stack.stop());
      const stopped = engines.length === 0 ? 'Nothing ran' : `Stopped ${engines.join(', ')}`;
      print(`${stopped} (${seconds(performance.now() - beganMs)}).${wipe ? ' Data and logs are removed.' : ''}`);
    },

    async status({ name }) {
      for (const line of statusLines(await (await existing(name)).status())) print(line);
    },

    async env({ name }) {
      const stack = await existing(name);
      const started = stack.started();
      if (started.length === 0) throw new Error(`the stack ${name} is down`);
      print(renderEnvironment(environmentOf(stack.settings, started)).trimEnd());
    },

    async logs(engine, { name }) {
      const stack = await existing(name);
      for (const node of logsOf(stack, engine)) {
        const text = await readFile(node.logFile, 'utf8');
        print(`==> ${node.logFile}`);
        print(text.trimEnd().split('\n').slice(-LOG_LINES).join('\n'));
      }
    },

    async fault(fault, engine, { name, node }) {
      const stack = await existing(name);
      const beganMs = performance.now();
      await stack[fault](engine, node);
      const which = node === undefined ? engine : `${engine}-${node}`;
      print(`${fault} ${which}: ${seconds(performance.now() - beganMs)}`);
    },
  };

  async function existing(name: string): Promise<Stack> {
    const stack = await findStack({ folder: folderOf(name), cacheFolder });
    if (stack === undefined) throw new Error(`there is no stack ${name}; \`stack up\` makes it`);
    return stack;
  }
}
