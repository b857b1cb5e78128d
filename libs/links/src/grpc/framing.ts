/**
 * Batches are messages with one repeated field, the first, of items that carry their call's number. Items are encoded
 * one by one when their call is made: so their size is known, one that cannot be encoded fails alone, and a batch is a
 * concatenation.
 */
const ITEM_TAG = 0x0a;

function varintBytes(value: number): number {
  let bytes = 1;
  for (let left = value; left >= 0x80; left = Math.floor(left / 0x80)) bytes += 1;
  return bytes;
}

/** The bytes of a message whose field 1 repeats these items. */
export function joinItems(items: readonly Uint8Array[]): Buffer {
  let length = 0;
  for (const item of items) length += 1 + varintBytes(item.length) + item.length;
  const joined = Buffer.allocUnsafe(length);
  let at = 0;
  for (const item of items) {
    joined[at++] = ITEM_TAG;
    let left = item.length;
    for (; left >= 0x80; left = Math.floor(left / 0x80)) joined[at++] = (left % 0x80) | 0x80;
    joined[at++] = left;
    joined.set(item, at);
    at += item.length;
  }
  return joined;
}

/** How many of these, from the first, make up a message of at most `maxBytes`; one at least. */
export function fitting(items: readonly { readonly bytes: Uint8Array }[], maxBytes: number): number {
  let bytes = 0;
  let count = 0;
  for (const item of items) {
    bytes += item.bytes.length + 6;
    if (count > 0 && bytes > maxBytes) break;
    count += 1;
  }
  return count;
}
