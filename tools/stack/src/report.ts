import { existsSync } from 'node:fs';

import { ENGINES, type EngineName, type EngineNode } from './engine.js';
import type { NodeStatus, Stack, StackProgress } from './stack.js';

const NAME_WIDTH = 12;

export function progressLine(progress: StackProgress): string | undefined {
  switch (progress.kind) {
    case 'packages':
      return `Installing packages with apt-get: ${progress.packages.join(', ')} …`;
    case 'installed': {
      const took = progress.tookMs < 1_000 ? '' : `, installed in ${seconds(progress.tookMs)}`;
      return `${progress.engine.padEnd(NAME_WIDTH)}${progress.version} from ${progress.from}${took}`;
    }
    case 'launched':
      return undefined;
    case 'ready': {
      const where = progress.nodes.map(({ host, port }) => `${host}:${port}`).join(' ');
      const how = progress.launched === 0 ? 'was running' : `ready after ${seconds(progress.tookMs)}`;
      return `${progress.engine.padEnd(NAME_WIDTH)}${how} on ${where}`;
    }
    default:
      return progress satisfies never;
  }
}

export function statusLines(statuses: readonly NodeStatus[]): readonly string[] {
  return statuses.map(({ node, state, pid, residentBytes, problem }) => {
    const process = pid === undefined ? '' : `  pid ${pid}  ${Math.round(residentBytes / (1 << 20))} MiB`;
    const answers = state === 'running' ? `  ${problem === undefined ? 'answers' : `does not answer: ${problem}`}` : '';
    return `${node.name.padEnd(NAME_WIDTH)}${state.padEnd(8)} ${node.host}:${node.port}${process}${answers}`;
  });
}

/** Nodes that have a log. */
export function logsOf(stack: Stack, engine: EngineName | undefined): readonly EngineNode[] {
  return ENGINES.filter((each) => engine === undefined || each === engine)
    .flatMap((each) => stack.nodes(each))
    .filter(({ logFile }) => existsSync(logFile));
}

export function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
