import { fileURLToPath } from 'node:url';

export interface LogFiles {
  readonly log: string;
  readonly annotations: string;
}

/** The logs in `data/`; their attribution is in `data/README.md`. */
export const BUNDLED_LOGS: readonly LogFiles[] = ['2004-11-15_03', '2009-10-01_17', '2016-12-19_20'].map((name) => {
  const base = fileURLToPath(new URL(`../data/ubuntu-irc/${name}`, import.meta.url));
  return filesOf(`${base}.raw.txt`);
});

/** `x.raw.txt` has its annotations, if any, in `x.annotation.txt`. */
export function filesOf(log: string): LogFiles {
  return { log, annotations: log.replace(/(\.raw)?\.txt$/, '') + '.annotation.txt' };
}
