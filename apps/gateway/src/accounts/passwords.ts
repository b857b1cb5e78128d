import { randomBytes } from 'node:crypto';

import { ParleyError } from '@parley/contracts';
import { hash, verify } from '@node-rs/argon2';

/** Parameters of argon2id. */
export interface PasswordCost {
  readonly memoryCost: number;
  readonly timeCost: number;
  readonly parallelism: number;
}

/** OWASP's first choice for argon2id: 19 MiB, two passes, one lane; about 10 ms of a core. */
export const OWASP_COST: PasswordCost = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

export interface PasswordsOptions {
  readonly cost?: PasswordCost;
  /** Hashes computed at once: each takes a thread of Node's pool and 19 MiB. */
  readonly maxAtOnce?: number;
  /** Hashes waiting; beyond, `overloaded`. */
  readonly maxWaiting?: number;
}

/** Hashes and checks passwords with argon2id, on other threads and only so many at once. */
export class Passwords {
  readonly #cost: PasswordCost;
  readonly #maxAtOnce: number;
  readonly #maxWaiting: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  /** The hash of a password that nobody knows. */
  #nobodys = '';

  private constructor(options: PasswordsOptions) {
    this.#cost = options.cost ?? OWASP_COST;
    this.#maxAtOnce = options.maxAtOnce ?? 2;
    this.#maxWaiting = options.maxWaiting ?? 200;
  }

  static async open(options: PasswordsOptions = {}): Promise<Passwords> {
    const passwords = new Passwords(options);
    passwords.#nobodys = await passwords.hash(randomBytes(16).toString('base64url'));
    return passwords;
  }

  /** A PHC string. */
  hash(password: string): Promise<string> {
    return this.#inTurn(() => hash(asTyped(password), this.#cost));
  }

  /** Against no hash (nobody of that name, nobody with a password) it takes as long as against one, and is false. */
  async verify(passwordHash: string | null, password: string): Promise<boolean> {
    const matches = await this.#inTurn(() => verify(passwordHash ?? this.#nobodys, asTyped(password)));
    return passwordHash !== null && matches;
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running < this.#maxAtOnce) {
      this.#running += 1;
    } else {
      if (this.#waiting.length >= this.#maxWaiting) {
        throw new ParleyError('overloaded', 'Too many people are signing in', { retryAfterMs: 1_000 });
      }
      // Whoever finishes hands its place over.
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}

/** The same characters, however a keyboard composes them. */
function asTyped(password: string): string {
  return password.normalize('NFC');
}
