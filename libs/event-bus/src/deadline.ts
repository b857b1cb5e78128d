import { ParleyError } from '@parley/contracts';

/** Rejects as `unavailable` when the promise takes longer; what it does later is nobody's concern any more. */
export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  const timeout = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => timeout.reject(new ParleyError('unavailable', `${what} took longer than ${ms} ms`)),
    ms,
  );
  try {
    return await Promise.race([promise, timeout.promise]);
  } finally {
    clearTimeout(timer);
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
