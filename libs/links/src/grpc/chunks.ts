/** Consecutive parts of at most `maxBytes`; what is larger by itself is a part of its own. Nothing has no parts. */
export function chunks<T>(items: readonly T[], bytesOf: (item: T) => number, maxBytes: number): readonly T[][] {
  const parts: T[][] = [];
  let room = 0;
  for (const item of items) {
    const bytes = bytesOf(item);
    const last = parts.at(-1);
    if (last === undefined || bytes > room) {
      parts.push([item]);
      room = maxBytes - bytes;
    } else {
      last.push(item);
      room -= bytes;
    }
  }
  return parts;
}
