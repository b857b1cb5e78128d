import { z } from 'zod';

/**
 * Ids are opaque strings to everyone outside. They are at most 64 characters of a conservative alphabet, so that
 * they can stand in a URL path, a Kafka key, a Redis key or a file name without escaping.
 */
const idText = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[A-Za-z0-9_-]+$/, 'not an id');

export const WorkspaceId = idText.brand<'WorkspaceId'>();
export type WorkspaceId = z.infer<typeof WorkspaceId>;

export const UserId = idText.brand<'UserId'>();
export type UserId = z.infer<typeof UserId>;

export const ConversationId = idText.brand<'ConversationId'>();
export type ConversationId = z.infer<typeof ConversationId>;

/** Chosen by the client; names one of a person's devices. */
export const DeviceId = idText.brand<'DeviceId'>();
export type DeviceId = z.infer<typeof DeviceId>;

/** One live connection (Socket.IO, SSE or long poll) on one chat server. */
export const SessionId = idText.brand<'SessionId'>();
export type SessionId = z.infer<typeof SessionId>;

/** One running instance of one service. */
export const InstanceId = idText.brand<'InstanceId'>();
export type InstanceId = z.infer<typeof InstanceId>;

/** Position in a conversation's log: 1, 2, 3, …; 0 stands for "before the first entry". */
export const Seq = z.int().min(0).max(Number.MAX_SAFE_INTEGER).brand<'Seq'>();
export type Seq = z.infer<typeof Seq>;

/** A position that an entry has: from 1. */
export const EntrySeq = z.int().min(1).max(Number.MAX_SAFE_INTEGER).brand<'Seq'>();

/** Chosen by the sender; remembered per conversation and sender for 7 days. */
export const ClientId = z.string().min(1).max(128);
export type ClientId = z.infer<typeof ClientId>;

/** Brands a number that is known to be a position (results of arithmetic, values read from our own stores). */
export function seq(value: number): Seq {
  return value as Seq;
}

/** The id of an entry follows from its conversation and position, so nothing has to be stored or looked up for it. */
export function entryId(conversationId: ConversationId, at: number): string {
  return `${conversationId}.${at}`;
}

export const DEFAULT_WORKSPACE = 'default' as WorkspaceId;
