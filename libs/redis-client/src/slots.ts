import { crc32 } from 'node:zlib';

/** CRC-16/XMODEM by byte: what Redis Cluster hashes keys with. */
const CRC16 = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit += 1) crc = ((crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021) & 0xffff;
  return crc;
});

/** The Redis Cluster slot of a key: of what is in its first braces, if there is anything in them. */
export function slotOf(key: string): number {
  const opened = key.indexOf('{');
  const closed = opened < 0 ? -1 : key.indexOf('}', opened + 1);
  const hashed = closed > opened + 1 ? key.slice(opened + 1, closed) : key;
  let crc = 0;
  for (const byte of Buffer.from(hashed)) crc = ((crc << 8) ^ (CRC16[((crc >> 8) ^ byte) & 0xff] ?? 0)) & 0xffff;
  return crc % 16_384;
}

/**
 * Which of `shards` equal parts a key belongs to. Keys of a part share a hash tag, so that one script serves many of
 * them in a single call, on one server and on a cluster alike.
 */
export function shardOf(key: string, shards: number): number {
  return crc32(key) % shards;
}

/** Groups items by shard and cuts the groups, so that no script holds the server up for long. */
export function byShard<T>(
  items: readonly T[],
  keyOf: (item: T) => string,
  { shards, perCall }: { readonly shards: number; readonly perCall: number },
): { readonly shard: number; readonly items: readonly T[] }[] {
  const open = new Map<number, T[]>();
  const groups: { shard: number; items: T[] }[] = [];
  for (const item of items) {
    const shard = shardOf(keyOf(item), shards);
    let group = open.get(shard);
    if (group === undefined || group.length === perCall) {
      group = [];
      open.set(shard, group);
      groups.push({ shard, items: group });
    }
    group.push(item);
  }
  return groups;
}
