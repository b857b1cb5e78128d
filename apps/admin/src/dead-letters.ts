import { adapterSettings, planEngines } from '@parley/adapters';
import type { Topic } from '@parley/contracts';
import { type DeadLetterQuery, listDeadLetters, replayDeadLetters } from '@parley/event-bus';
import { readConfig } from '@parley/service-kit';

export const topicNames = ['messages', 'inbox', 'directory', 'presence'] as const satisfies readonly Topic[];

export interface ListOptions {
  readonly topic: Topic;
  readonly group?: string;
  readonly from?: string;
  readonly limit: number;
}

/** One JSON object a line: what died, where, why, and whether it was replayed since. */
export async function listLetters(
  env: NodeJS.ProcessEnv,
  { topic, group, from, limit }: ListOptions,
  print: (line: string) => void,
): Promise<void> {
  const query: DeadLetterQuery = {
    topic,
    limit,
    ...(group === undefined ? {} : { group }),
    ...(from === undefined ? {} : { fromOffset: from }),
  };
  for (const letter of await listDeadLetters(busOf(env), query)) {
    print(JSON.stringify({ ...letter, at: new Date(letter.atMs).toISOString() }));
  }
}

export async function replayLetters(
  env: NodeJS.ProcessEnv,
  options: { readonly topic: Topic; readonly limit: number },
  print: (line: string) => void,
): Promise<void> {
  const { replayed, left } = await replayDeadLetters(busOf(env), options);
  print(`${replayed} replayed, ${left} left`);
}

function busOf(env: NodeJS.ProcessEnv) {
  return planEngines(readConfig(adapterSettings, env), 'dead-letters').bus;
}
