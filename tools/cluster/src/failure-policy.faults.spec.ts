import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { findStack, openStack, type EngineName, type Stack } from '@parley/stack';
import { writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { Balancer } from './balancer.js';
import { Cluster, SERVICES } from './cluster.js';
import { Cast, type Said } from './failure-cast.js';
import { type LoadReport, TalkLoad } from './failure-load.js';
import type { ServiceProcess } from './service-process.js';

/** Longer than every deadline of a call: what is asked again at its end meets an outage that is known. */
const OUTAGE_MS = 6_000;
/** Longer than a lease (10 s): nobody can renew theirs. */
const ETCD_OUTAGE_MS = 13_000;
/** Shorter than any session timeout: whoever is silent this long is waited for, or asked elsewhere. */
const PAUSE_MS = 8_000;

/** What the failure policy promises, at most; docs/failure-policy.md has what was measured. */
const WITHIN = { first: 4_000, later: 3_000, recovery: 15_000, retried: 2_000, door: 9_500, resumed: 16_000 };
/** Nobody waits longer for a message; the bounds that are tested are shorter. */
const HEARD_AT_LAST_MS = 30_000;
const SPEAK_AGAIN_MS = 2_000;
const POLL_MS = 100;
/** By all together before and after an outage in which nobody can. */
const TALKED_MIN = 20;

const cache = process.env['PARLEY_CACHE'] ?? join(homedir(), '.cache', 'parley');
const place = { folder: join(cache, 'stack', `faults-${process.pid}`), cacheFolder: join(cache, 'engines') };
const measured: string[] = [];
const ends: (() => Promise<unknown>)[] = [];
const said: string[] = [];
let stack: Stack;
let cluster: Cluster;
let balancer: Balancer;
let cast: Cast;

beforeAll(async () => {
  ends.push(async () => (await findStack(place))?.wipe());
  stack = await openStack(place);
  await stack.start();
  cluster = await Cluster.start({
    engines: stack.environment(),
    counts: { gateway: 2, chat: 2, routing: 2, delivery: 2, presence: 2, 'push-notification': 1 },
    env: { PARLEY_LOG_LEVEL: 'warn' },
    onLine: (name, line) => void said.push(`${name} ${typeof line === 'string' ? line : JSON.stringify(line)}`),
  });
  ends.push(() => cluster.stop());
  balancer = await Balancer.start(() => cluster.urls);
  ends.push(() => balancer.close());
  cast = await Cast.gather(`p${process.pid}`, balancer.url, cluster.urls);
  ends.push(async () => cast.close());
}, 180_000);

afterAll(async () => {
  for (const end of ends.reverse()) await end();
  process.stderr.write(`${measured.join('\n')}\n`);
  const log = process.env['PARLEY_FAULTS_LOG'];
  if (log !== undefined) await writeFile(log, said.join('\n'));
}, 120_000);

/** How long it takes, for the table; rejects as the work does. */
async function timed(what: string, work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  try {
    await work();
  } catch (error) {
    const afterMs = (performance.now() - startedMs).toFixed(0);
    measured.push(`${what}: FAILED after ${afterMs} ms: ${String(error)}`);
    // Of an error with a whole client behind it jest writes everything that it can reach, until it has no memory left.
    throw new Error(`${what}, after ${afterMs} ms: ${String(error)}`);
  }
  const tookMs = performance.now() - startedMs;
  measured.push(`${what}: ${tookMs.toFixed(0)} ms`);
  return tookMs;
}

const hearing = async (): Promise<void> => cast.heard(await cast.say(), HEARD_AT_LAST_MS);
/** A push to a chat server that was just silent may be dropped: who is connected to it finds out by the next message. */
const hearingInTheEnd = async (): Promise<void> => {
  const first = await cast.say();
  for (const deadlineMs = performance.now() + WITHIN.resumed; ;) {
    try {
      return await cast.heard(first, SPEAK_AGAIN_MS);
    } catch (error) {
      if (performance.now() > deadlineMs) throw error;
      await cast.say();
    }
  }
};
const sending = (): Promise<unknown> => Promise.all([cast.say(), cast.restSends()]);
const reading = (): Promise<unknown> => cast.read();

/** People who talk from before the fault until after it; what they saw is judged last. */
function underLoad(name: string): { isWhole: () => void } {
  let load: TalkLoad | undefined;
  beforeAll(async () => {
    await timed(`${name}, prepared`, async () => {
      load = await TalkLoad.start(balancer.url, name.replaceAll(/\W/g, ''));
      await cast.warm();
    });
  }, 60_000);
  afterAll(() => load?.close());
  return {
    isWhole: () =>
      it('leaves the history of those who talked meanwhile whole', async () => {
        let report: LoadReport | undefined;
        await timed(`${name}, history read again and judged`, async () => (report = await load?.finish()));
        measured.push(
          `${name}, load: ${report?.acknowledged} acknowledged, ${report?.resent} resent, ${report?.reconnections} reconnections`,
        );
        expect(report?.failures).toEqual([]);
        expect(report?.verdicts.flatMap(({ violations }) => violations)).toEqual([]);
        expect(report?.acknowledged).toBeGreaterThan(TALKED_MIN);
      }),
  };
}

function worksAgain(name: string): void {
  it('lets everything work again by itself: accounts, conversations, sessions, presence, delivery, reads', async () => {
    const tookMs = await timed(`${name}, all works again`, async () => {
      await cast.welcome(WITHIN.recovery);
      await hearing();
      await cast.readAgain();
    });
    expect(tookMs).toBeLessThan(WITHIN.recovery);
  });
}

interface EngineFault {
  readonly how: string;
  readonly begin: (engine: EngineName) => Promise<void>;
  readonly end: (engine: EngineName) => Promise<void>;
}
const ENGINE_FAULTS: readonly EngineFault[] = [
  { how: 'SIGSTOP', begin: (engine) => stack.pause(engine), end: (engine) => stack.resume(engine) },
  { how: 'kill -9', begin: (engine) => stack.kill(engine), end: (engine) => stack.restart(engine) },
];

/** An engine that goes away before the tests of a suite, and comes back in one of them, or after them if that fails. */
class EngineOutage {
  readonly name: string;
  readonly #load: { isWhole: () => void };
  /** Tried at the moment of the fault, all at once, so that each of it meets the outage unprepared. */
  readonly #atOnce = new Map<string, Promise<number>>();
  #away = false;
  #beganMs = 0;

  constructor(
    private readonly engine: EngineName,
    private readonly fault: EngineFault,
    private readonly tries: Readonly<Record<string, () => Promise<unknown>>>,
    private readonly lastsMs = OUTAGE_MS,
  ) {
    this.name = `${engine} ${fault.how}`;
    this.#load = underLoad(this.name);
    beforeAll(async () => {
      this.#away = true;
      await fault.begin(engine);
      this.#beganMs = performance.now();
      for (const [what, work] of Object.entries(tries)) {
        const trying = timed(`${this.name}, ${what}, at once`, work);
        trying.catch(() => undefined); // whoever asks for it hears of it
        this.#atOnce.set(what, trying);
      }
    });
    afterAll(() => (this.#away ? fault.end(engine) : undefined), 120_000);
  }

  /** One cell of the table: when the engine has just gone, and when that is known. */
  cell(name: string, what: string): void {
    it(name, async () => {
      expect(await this.#atOnce.get(what)).toBeLessThan(WITHIN.first);
      await sleep(Math.max(0, this.#beganMs + this.lastsMs - performance.now()));
      const work = this.tries[what];
      if (work === undefined) throw new RangeError(`nobody tries ${what}`);
      expect(await timed(`${this.name}, ${what}, later`, work)).toBeLessThan(WITHIN.later);
    });
  }

  ends(andThen: () => void = () => undefined): void {
    it('comes back', async () => {
      await timed(`${this.name}, back`, () => this.fault.end(this.engine));
      this.#away = false;
    }, 120_000);
    andThen();
    worksAgain(this.name);
    this.#load.isWhole();
  }
}

for (const fault of ENGINE_FAULTS) {
  describe(`Redis, ${fault.how}`, () => {
    const outage = new EngineOutage('redis', fault, { sends: sending, live: hearing, reads: reading });
    outage.cell('sends continue', 'sends');
    outage.cell('live delivery continues, by push to all chat servers', 'live');
    outage.cell('reads continue', 'reads');
    outage.ends();
  });

  describe(`Kafka, ${fault.how}`, () => {
    let notifiedBefore = 0;
    beforeAll(async () => {
      notifiedBefore = await pushDecisions();
    });
    const outage = new EngineOutage('kafka', fault, {
      sends: () => Promise.all([sending(), cast.sayToEve()]),
      live: hearing,
      reads: reading,
    });
    outage.cell('sends continue', 'sends');
    outage.cell('live delivery continues, routing calls delivery', 'live');
    outage.cell('reads continue', 'reads');
    outage.ends(() =>
      it('lets notifications catch up: who was not there has an inbox record', async () => {
        const caughtUp = async (): Promise<void> => {
          while ((await pushDecisions()) < notifiedBefore + 2) await sleep(POLL_MS);
        };
        expect(await timed(`${outage.name}, inbox caught up`, caughtUp)).toBeLessThan(WITHIN.recovery);
      }),
    );
  });

  describe(`Cassandra, ${fault.how}`, () => {
    const refused: Said[] = [];
    const outage = new EngineOutage('cassandra', fault, {
      sends: async () => refused.push(...(await cast.sayInVain())),
      reads: reading,
    });
    outage.cell('sends are refused, to be tried again', 'sends');
    outage.cell('recent entries are read from the cache', 'reads');
    outage.ends(() =>
      it('accepts what clients kept, exactly once', async () => {
        expect(refused.length).toBeGreaterThan(0);
        await timed(`${outage.name}, kept sends accepted`, () => cast.sayAgain(refused));
      }),
    );
  });

  describe(`MySQL, ${fault.how}`, () => {
    const outage = new EngineOutage('mysql', fault, {
      sends: sending,
      live: hearing,
      reads: reading,
      changes: () => expect(cast.createConversation()).rejects.toMatchObject({ code: 'unavailable' }),
    });
    outage.cell('sends of members who are known continue', 'sends');
    outage.cell('live delivery continues', 'live');
    outage.cell('conversation list and history are read from memory', 'reads');
    outage.cell('changes are refused, to be tried again', 'changes');
    outage.ends();
  });

  describe(`etcd, ${fault.how}`, () => {
    const outage = new EngineOutage(
      'etcd',
      fault,
      { sends: sending, live: hearing, reads: () => Promise.all([reading(), cast.assign()]) },
      ETCD_OUTAGE_MS,
    );
    outage.cell('sends continue', 'sends');
    outage.cell('live delivery continues, to those on the last list', 'live');
    outage.cell('reads continue, and sessions are assigned from the last list', 'reads');
    outage.ends();
  });
}

const APP_FAULTS = [
  {
    how: `SIGSTOP for ${PAUSE_MS / 1_000} s`,
    async strike(victim: ServiceProcess): Promise<void> {
      victim.pause();
      await sleep(PAUSE_MS);
      victim.resume();
    },
  },
  { how: 'kill -9', strike: (victim: ServiceProcess) => victim.kill() },
] as const;

describe.each(SERVICES)('one %s', (service) => {
  const load = underLoad(service);
  // The second: Bob's gateway, and the chat server of all who listen.
  const victim = (): ServiceProcess => cluster.named(`${service}-${cluster.of(service).length}`);

  describe.each(APP_FAULTS)('$how', ({ how, strike }) => {
    const name = `${service} ${how}`;
    let over: Promise<void> = Promise.resolve();
    let sends: Promise<number>;
    let live: Promise<number>;
    let reads: Promise<number>;
    beforeAll(async () => {
      await timed(`${name}, prepared`, () => cast.warm());
      over = strike(victim());
      sends = timed(`${name}, sends`, () => Promise.all([cast.say(), cast.restSends('again')]));
      live = timed(`${name}, live, said at once`, hearing);
      reads = timed(`${name}, reads`, () => cast.readAgain());
      for (const each of [over, sends, live, reads]) each.catch(() => undefined);
    }, 60_000);
    afterAll(() => over, 60_000);

    it('sends are accepted by another', async () => {
      expect(await sends).toBeLessThan(service === 'gateway' ? WITHIN.door : WITHIN.retried);
    });

    it('reads are answered by another', async () => {
      expect(await reads).toBeLessThan(service === 'gateway' ? WITHIN.door : WITHIN.retried);
    });

    it('live delivery resumes, and what was said meanwhile arrives', async () => {
      await over;
      expect(await timed(`${name}, live, said when it is back`, hearingInTheEnd)).toBeLessThan(WITHIN.resumed);
      expect(await live).toBeLessThan(WITHIN.resumed);
    });

    worksAgain(name);
  });

  load.isWhole();
});

async function pushDecisions(): Promise<number> {
  const url = (await cluster.internalUrls()).get('push-notification-1');
  const text = await (await fetch(`${url}/metrics`)).text();
  const samples = text.split('\n').filter((line) => line.startsWith('parley_push_decisions_total'));
  return samples.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}
