import { z } from 'zod';

import { ClientId, ConversationId, EntrySeq, UserId } from './ids.js';
import { Content, Emoji, Mentions } from './content.js';

export const Timestamp = z.iso.datetime({ precision: 3 });
export const Role = z.enum(['owner', 'admin', 'member', 'guest']);
export type Role = z.infer<typeof Role>;

export const ConversationType = z.enum(['direct', 'group', 'channel']);
export type ConversationType = z.infer<typeof ConversationType>;
export const Visibility = z.enum(['private', 'public']);
export type Visibility = z.infer<typeof Visibility>;
export const History = z.enum(['joined', 'all']);
export type History = z.infer<typeof History>;

export const ConversationName = z.string().trim().min(1).max(120);
export const ConversationTopic = z.string().max(1_000);

/** What a `settings` entry may change; `deleted` ends the conversation and is its last entry. */
export const SettingsChanges = z
  .strictObject({
    name: ConversationName.nullable().optional(),
    topic: ConversationTopic.nullable().optional(),
    visibility: Visibility.optional(),
    history: History.optional(),
    deleted: z.literal(true).optional(),
  })
  .meta({ id: 'SettingsChanges' });
export type SettingsChanges = z.infer<typeof SettingsChanges>;

const common = {
  conversationId: ConversationId,
  seq: EntrySeq,
  id: z.string(),
  senderId: UserId,
  sentAt: Timestamp,
};
/** Set once the content is gone from the store: by a delete, or by retention. */
const redactable = { content: Content.nullable(), deletedAt: Timestamp.optional() };

export const MessageEntry = z
  .object({
    ...common,
    kind: z.literal('message'),
    clientId: ClientId.optional(),
    ...redactable,
    parentSeq: EntrySeq.optional(),
    mentions: Mentions.optional(),
  })
  .meta({ id: 'MessageEntry' });
export const EditEntry = z
  .object({ ...common, kind: z.literal('edit'), targetSeq: EntrySeq, ...redactable })
  .meta({ id: 'EditEntry' });
export const DeleteEntry = z
  .object({ ...common, kind: z.literal('delete'), targetSeq: EntrySeq })
  .meta({ id: 'DeleteEntry' });
export const ReactionEntry = z
  .object({ ...common, kind: z.literal('reaction'), targetSeq: EntrySeq, emoji: Emoji, op: z.enum(['add', 'remove']) })
  .meta({ id: 'ReactionEntry' });
export const PinEntry = z
  .object({ ...common, kind: z.literal('pin'), targetSeq: EntrySeq, op: z.enum(['add', 'remove']) })
  .meta({ id: 'PinEntry' });
export const MemberEntry = z
  .object({
    ...common,
    kind: z.literal('member'),
    op: z.enum(['added', 'removed', 'role']),
    userIds: z.array(UserId).min(1).max(1_000),
    role: Role.optional(),
  })
  .meta({ id: 'MemberEntry' });
export const SettingsEntry = z
  .object({ ...common, kind: z.literal('settings'), changes: SettingsChanges })
  .meta({ id: 'SettingsEntry' });

/** One entry of a conversation's log, as everyone sees it: REST, sync and events carry exactly this. */
export const LogEntry = z
  .discriminatedUnion('kind', [
    MessageEntry,
    EditEntry,
    DeleteEntry,
    ReactionEntry,
    PinEntry,
    MemberEntry,
    SettingsEntry,
  ])
  .meta({ id: 'LogEntry' });
export type LogEntry = z.infer<typeof LogEntry>;
export type MessageEntry = z.infer<typeof MessageEntry>;
export type EditEntry = z.infer<typeof EditEntry>;
export type DeleteEntry = z.infer<typeof DeleteEntry>;
export type ReactionEntry = z.infer<typeof ReactionEntry>;
export type PinEntry = z.infer<typeof PinEntry>;
export type MemberEntry = z.infer<typeof MemberEntry>;
export type SettingsEntry = z.infer<typeof SettingsEntry>;
export type EntryKind = LogEntry['kind'];

/** The message that an entry changes, if it changes one. */
export function targetSeqOf(entry: LogEntry): number | undefined {
  switch (entry.kind) {
    case 'edit':
    case 'delete':
    case 'reaction':
    case 'pin':
      return entry.targetSeq;
    case 'message':
    case 'member':
    case 'settings':
      return undefined;
  }
}

/** What a content-bearing entry reads once its content is gone. */
export function redact(entry: LogEntry, deletedAt: string): LogEntry {
  switch (entry.kind) {
    case 'message': {
      const { mentions: _mentions, ...rest } = entry;
      return { ...rest, content: null, deletedAt };
    }
    case 'edit':
      return { ...entry, content: null, deletedAt };
    case 'delete':
    case 'reaction':
    case 'pin':
    case 'member':
    case 'settings':
      return entry;
  }
}
