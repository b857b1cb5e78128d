import { randomBytes } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { Person } from './person.js';
import { OUTSIDE_URL, Server } from './server.js';
import { connectionsEnded } from './session.js';

/** Settings of the server, asked for when it starts. */
type Environment = () => Readonly<Record<string, string>> | Promise<Readonly<Record<string, string>>>;

/** One server for a spec file, and the people who use it. */
export class World {
  #server: Server | undefined;
  #people: Person[] = [];
  #made = 0;
  readonly #run = randomBytes(4).toString('hex');

  constructor(private readonly env: Environment) {}

  get url(): string {
    return OUTSIDE_URL ?? this.server.url;
  }

  /** The process; only specs with a server of their own have one. */
  get server(): Server {
    if (this.#server === undefined) throw new Error('This spec has no server of its own');
    return this.#server;
  }

  /** A name that nobody has. */
  name(stem = 'person'): string {
    this.#made += 1;
    return `${stem}-${this.#run}-${this.#made}`;
  }

  async person(stem?: string): Promise<Person> {
    return this.keep(await Person.register(this.url, this.name(stem)));
  }

  async people<N extends number>(count: N): Promise<Tuple<N>> {
    const people = await Promise.all(Array.from({ length: count }, () => this.person()));
    return people as unknown as Tuple<N>;
  }

  /** Sessions of this person are closed, and held to the contract, at the end. */
  keep(person: Person): Person {
    this.#people.push(person);
    return person;
  }

  async open(own: boolean): Promise<void> {
    if (own || OUTSIDE_URL === undefined) this.#server = await Server.start(await this.env());
  }

  async close(): Promise<void> {
    const violations = this.#people.flatMap((person) => person.leave());
    await connectionsEnded();
    const errors = (this.#server?.logged('error') ?? []).map(({ msg, err }) => `${msg}: ${reasonOf(err)}`);
    const failures = [...new Set(errors)].slice(0, 5);
    await this.#server?.stop();
    expect(violations).toEqual([]);
    expect(failures).toEqual([]);
  }
}

/** pino's form of an error. */
function reasonOf(err: unknown): string {
  return typeof err === 'object' && err !== null && 'message' in err ? String(err.message) : '';
}

type Tuple<N extends number, Made extends Person[] = []> = number extends N
  ? Person[]
  : Made['length'] extends N
    ? Made
    : Tuple<N, [...Made, Person]>;

/** A spec against one server: ours with these settings, or the one that `PARLEY_E2E_URL` names with its own. */
export function scenario(title: string, specify: (world: World) => void, env: Environment = () => ({})): void {
  describe(title, () => specify(prepared(false, env)));
}

/** A spec that needs a server of its own: settings, crashes, or to be the first who registers. */
export function scenarioWithOwnServer(
  title: string,
  reason: string,
  env: Environment,
  specify: (world: World) => void,
): void {
  if (OUTSIDE_URL === undefined) {
    describe(title, () => specify(prepared(true, env)));
    return;
  }
  process.stderr.write(`skipped with PARLEY_E2E_URL: ${title}: ${reason}\n`);
  describe.skip(title, () => specify(new World(env)));
}

/** One behaviour that can only be shown on a server of our own. */
export function itWithOwnServer(title: string, reason: string, test: () => Promise<void>): void {
  if (OUTSIDE_URL === undefined) {
    it(title, test);
    return;
  }
  process.stderr.write(`skipped with PARLEY_E2E_URL: ${title}: ${reason}\n`);
  it.skip(title, test);
}

function prepared(own: boolean, env: Environment): World {
  const world = new World(env);
  beforeAll(() => world.open(own));
  afterAll(() => world.close());
  return world;
}
