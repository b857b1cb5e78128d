/**
 * Rendezvous hashing: everyone who knows the same instances ranks them alike for a key, and when an instance leaves,
 * only the keys that it was first for move, each to its own second.
 */
export function rank<T extends { readonly instanceId: string }>(key: string, instances: readonly T[]): readonly T[] {
  const keyHash = hashInto(0x811c9dc5, key);
  return instances
    .map((instance) => ({ instance, weight: mix(hashInto(keyHash, instance.instanceId)) }))
    .sort((a, b) => b.weight - a.weight || (a.instance.instanceId < b.instance.instanceId ? -1 : 1))
    .map(({ instance }) => instance);
}

/** FNV-1a, continued from `hash`. */
function hashInto(hash: number, text: string): number {
  for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash;
}

/** MurmurHash3's finalizer: FNV alone ranks ids that differ in their last character only nearly the same way. */
function mix(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
