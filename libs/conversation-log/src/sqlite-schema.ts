/** Each step brings a file from `user_version` = its index to the next; a step that was released is never changed. */
export const MIGRATIONS: readonly string[] = [
  `
  -- Conversations have a short number, because their ids would be most of what the indexes hold.
  CREATE TABLE heads (
    conversation_no INTEGER PRIMARY KEY,
    conversation_id TEXT NOT NULL UNIQUE,
    seq INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    member_seq INTEGER NOT NULL,
    last_message_seq INTEGER NOT NULL,
    last_at_ms INTEGER NOT NULL,
    sealed_seq INTEGER NOT NULL
  ) STRICT;

  -- In order of arrival (by rowid), not clustered by conversation: one commit's entries share pages whatever their
  -- conversations, and pages fill from the end. Clustered, it is 21,000 instead of 41,000 appends/s to 100
  -- conversations, and pages that were split keep copies of texts that are deleted later, whatever secure_delete says:
  -- sqlite-redaction.spec.ts fails.
  CREATE TABLE entries (
    conversation_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    member_seq INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    sender_id TEXT NOT NULL,
    client_id TEXT,
    target_seq INTEGER,
    parent_seq INTEGER,
    deleted_at TEXT,
    json TEXT NOT NULL,
    PRIMARY KEY (conversation_no, seq)
  ) STRICT;

  -- An append pays for every tree that it touches with a page in the WAL, so these hold only the few rows they are for.
  CREATE INDEX entries_deleted ON entries (conversation_no, seq) WHERE kind = 'message' AND deleted_at IS NOT NULL;
  CREATE INDEX entries_by_target ON entries (conversation_no, target_seq, seq) WHERE target_seq IS NOT NULL;
  CREATE INDEX entries_by_parent ON entries (conversation_no, parent_seq, seq) WHERE parent_seq IS NOT NULL;
  CREATE INDEX entries_pins ON entries (conversation_no, seq) WHERE kind = 'pin';

  CREATE TABLE mentions (
    conversation_no INTEGER NOT NULL,
    user_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    sender_id TEXT NOT NULL,
    PRIMARY KEY (conversation_no, user_id, seq)
  ) STRICT, WITHOUT ROWID;

  -- Every message belongs in these two, so they are filled by the block: see indexedUpTo.
  CREATE TABLE client_ids (
    conversation_no INTEGER NOT NULL,
    sender_id TEXT NOT NULL,
    client_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (conversation_no, sender_id, client_id, seq)
  ) STRICT, WITHOUT ROWID;
  -- Messages that are not deleted.
  CREATE TABLE own_messages (
    conversation_no INTEGER NOT NULL,
    sender_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (conversation_no, sender_id, seq)
  ) STRICT, WITHOUT ROWID;
  `,
];

const BLOCK = 64;

/**
 * Up to which entry `client_ids` and `own_messages` are filled when the log's head is `head`; what is after it, fewer
 * than BLOCK entries, is found by walking the entries themselves. An append that completes a block adds its rows, which
 * share pages: measured, 14,000 appends/s to 100 conversations with rows added by each append, 31,000 by the block.
 * Conversations have their blocks end at different positions, so that ones that grow in step do not pay together.
 */
export function indexedUpTo(conversationNo: number, head: number): number {
  return Math.max(0, head - ((head + conversationNo) % BLOCK));
}
