import { ParleyError } from '@parley/contracts';
import { z } from 'zod';

/** A position in a listing, opaque to whoever turns the page: the sort key of the last item. */
export function encodeCursor(key: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(key)).toString('base64url');
}

/** Throws `invalid` for what no listing of this shape has given out. */
export function decodeCursor<T extends z.ZodType>(shape: T, cursor: string): z.output<T> {
  try {
    return shape.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString()));
  } catch (error) {
    if (error instanceof z.ZodError || error instanceof SyntaxError) {
      throw new ParleyError('invalid', 'The cursor is not valid', {
        issues: [{ path: 'cursor', message: 'not given out by this listing' }],
      });
    }
    throw error;
  }
}

/** One row more than the page was asked for says whether there is a next one. */
export function pageOf<R, T>(
  rows: readonly R[],
  limit: number,
  item: (row: R) => T,
  key: (row: R) => readonly (string | number)[],
): { readonly items: readonly T[]; readonly nextCursor: string | null } {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    items: shown.map(item),
    nextCursor: rows.length > limit && last !== undefined ? encodeCursor(key(last)) : null,
  };
}
