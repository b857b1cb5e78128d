import { z } from 'zod';

/** Bounds of a message, in one place. */
export const MESSAGE_LIMITS = {
  /** UTF-16 units, as JavaScript counts. */
  textMaxUnits: 40_000,
  /** Bytes of JSON of an encrypted or custom content. */
  customMaxBytes: 16 * 1024,
  /** Levels of objects and arrays of an encrypted or custom content. */
  customMaxDepth: 100,
  mentionsMax: 100,
  emojiMaxUnits: 64,
} as const;

/** zod counts characters beyond the basic plane as one; bounds that name units are in what JavaScript counts. */
const atMostUnits = (max: number) =>
  [(value: string) => value.length <= max, `longer than ${max} UTF-16 units`] as const;

const text = z
  .string()
  .min(1)
  .refine(...atMostUnits(MESSAGE_LIMITS.textMaxUnits))
  .refine((value) => value.isWellFormed(), 'contains a lone surrogate')
  .meta({ maxLength: MESSAGE_LIMITS.textMaxUnits });

export const TextContent = z.strictObject({ type: z.literal('text'), text }).meta({ id: 'TextContent' });
export const MediaContent = z
  .strictObject({ type: z.literal('media'), mediaId: z.string().min(1).max(64), text: text.optional() })
  .meta({ id: 'MediaContent' });

/** Deeply nested values overflow whatever walks them recursively, JSON.stringify and comparisons included. */
function shallow(value: unknown, levels: number = MESSAGE_LIMITS.customMaxDepth): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return levels > 0 && Object.values(value).every((inner) => shallow(inner, levels - 1));
}

const smallJson = (value: Record<string, unknown>): boolean =>
  shallow(value) && Buffer.byteLength(JSON.stringify(value)) <= MESSAGE_LIMITS.customMaxBytes;
const tooBig = `larger than ${MESSAGE_LIMITS.customMaxBytes} bytes of JSON, or nested deeper than ${MESSAGE_LIMITS.customMaxDepth} levels`;

/** End-to-end encrypted: opaque to Parley, never searched, previewed or put into a notification. */
export const EncryptedContent = z
  .looseObject({ type: z.literal('encrypted') })
  .refine(smallJson, tooBig)
  .meta({ id: 'EncryptedContent' });

/** A type that the deployment has registered (`PARLEY_CONTENT_TYPES`); routing refuses others with `unsupported`. */
export const CustomContent = z
  .looseObject({
    // Aborting, so that a text that is wrong is refused as a text and not as a custom type that is nearly right.
    type: z.string().regex(/^(?!(?:text|media|encrypted)$)[a-z][a-z0-9_.-]{0,63}$/, {
      error: 'not a content type',
      abort: true,
    }),
  })
  .refine(smallJson, tooBig)
  .meta({ id: 'CustomContent' });

/** What a message says. */
export const Content = z.union([TextContent, MediaContent, EncryptedContent, CustomContent]).meta({ id: 'Content' });
export type Content = z.infer<typeof Content>;

/** A user id, or everyone: `channel` (all members), `here` (all members who are online). */
export const Mention = z.string().min(1).max(64);
export const Mentions = z.array(Mention).max(MESSAGE_LIMITS.mentionsMax);
export const MENTION_ALL: ReadonlySet<string> = new Set(['channel', 'here', '@channel', '@here']);

export const Emoji = z
  .string()
  .min(1)
  .max(MESSAGE_LIMITS.emojiMaxUnits)
  .refine(...atMostUnits(MESSAGE_LIMITS.emojiMaxUnits))
  .regex(/^[^\s\p{Cc}\p{Cs}/]+$/u, 'not an emoji or a short name');
