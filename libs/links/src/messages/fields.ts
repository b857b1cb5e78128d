/** A property that is there only when it has a value: absent stays absent, whichever side writes it. */
export function present<K extends string, V>(name: K, value: V | undefined): { [P in K]?: V } {
  return (value === undefined ? {} : { [name]: value }) as { [P in K]?: V };
}

/** A field that its sender always sets; proto3 cannot say so. */
export function required<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`A message lacks its ${what}`);
  return value;
}

export const jsonBytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

/** What a service of ours encoded; it was checked at the door. */
export const parsed = (bytes: Buffer): unknown => JSON.parse(bytes.toString());
