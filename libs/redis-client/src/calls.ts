import { createHash } from 'node:crypto';

/** Lua that the server runs as one step. */
export interface RedisScript {
  readonly lua: string;
  readonly sha: string;
}

export function script(lua: string): RedisScript {
  return { lua, sha: createHash('sha1').update(lua).digest('hex') };
}

export type Argument = string | number;

/** A script with its keys, which share a hash tag, or one command with the key that it is about. */
export type RedisCall =
  | { readonly script: RedisScript; readonly keys: readonly [string, ...string[]]; readonly args: readonly Argument[] }
  | { readonly command: string; readonly key: string; readonly args: readonly Argument[] };

/** A command as the client sends it. */
export type Words = readonly [name: string, ...args: Argument[]];

export function keyOf(call: RedisCall): string {
  return 'script' in call ? call.keys[0] : call.key;
}

/** A script goes by its digest, unless the server is to learn it. */
export function wordsOf(call: RedisCall, learn = false): Words {
  if ('command' in call) return [call.command, call.key, ...call.args];
  const { script: called, keys, args } = call;
  return [learn ? 'EVAL' : 'EVALSHA', learn ? called.lua : called.sha, keys.length, ...keys, ...args];
}
