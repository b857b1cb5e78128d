import { z } from 'zod';

const Poll = z.strictObject({
  events: z.array(z.strictObject({ event: z.string(), data: z.record(z.string(), z.unknown()) })),
  cursor: z.string(),
});
export type Poll = z.infer<typeof Poll>;

/** One long poll. */
export async function pollOnce(
  origin: string,
  token: string,
  query: { readonly cursor?: string; readonly timeoutMs?: number } = {},
): Promise<Poll> {
  const params = new URLSearchParams(
    Object.entries(query).map(([key, value]): [string, string] => [key, String(value)]),
  );
  const response = await fetch(`${origin}/v1/events/poll?${params}`, { headers: { authorization: `Bearer ${token}` } });
  const body: unknown = await response.json();
  if (response.status !== 200) throw new Error(`The poll was answered ${response.status}: ${JSON.stringify(body)}`);
  return Poll.parse(body);
}
