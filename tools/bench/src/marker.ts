/** A message of this size stands for what people write. */
const TEXT_UNITS = 200;
const BEGIN = Buffer.from('"text":"#');
const [ZERO, NINE] = [48, 57];
const DOT = 46;

/** The text of message `index` of a run: `#run.index#` and filling. */
export function textOf(run: number, index: number): string {
  return `#${run}.${index}#`.padEnd(TEXT_UNITS, 'x');
}

/** The index of a message of this run in a frame, found without parsing it; −1 for any other frame. */
export function markerOf(frame: Buffer, start: number, end: number, run: number): number {
  // Bounded to the frame: the buffer goes on behind it, and a frame without a marker must not search there.
  const bytes = frame.subarray(start, end);
  const at = bytes.indexOf(BEGIN);
  if (at < 0) return -1;
  let position = at + BEGIN.length;
  let number = 0;
  let seenRun = -1;
  for (; position < bytes.length; position += 1) {
    const byte = bytes[position] ?? 0;
    if (byte >= ZERO && byte <= NINE) {
      number = number * 10 + byte - ZERO;
    } else if (byte === DOT && seenRun < 0) {
      seenRun = number;
      number = 0;
    } else {
      break;
    }
  }
  return seenRun === run ? number : -1;
}
