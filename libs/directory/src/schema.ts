import type { ConversationType, History, Role, Visibility } from '@parley/contracts';

/** The tables as Kysely sees them: plain columns, no brands. `rows.ts` turns rows into the port's types. */
export interface Schema {
  workspaces: {
    id: string;
    /** The first person of the workspace; whoever sets it from null becomes its admin. */
    admin_id: string | null;
    created_at: string;
  };
  users: {
    id: string;
    workspace_id: string;
    username: string;
    /** `nameKey(username)`: unique within the workspace. */
    username_key: string;
    display_name: string;
    display_key: string;
    avatar_url: string | null;
    password_hash: string | null;
    bot: number;
    admin: number;
    banned_at: string | null;
    created_at: string;
    issuer: string | null;
    subject: string | null;
  };
  families: {
    id: string;
    user_id: string;
    workspace_id: string;
    ended_at: string | null;
    /** When its latest token expires: from then on nobody can use the family, and it may be forgotten. */
    expires_at: string;
  };
  refresh_tokens: {
    token_hash: string;
    family_id: string;
    used_at: string | null;
    expires_at: string;
  };
  api_keys: {
    id: string;
    workspace_id: string;
    name: string;
    /** JSON array of scopes. */
    scopes: string;
    user_id: string;
    secret_hash: string;
    created_at: string;
    last_used_at: string | null;
  };
  secrets: {
    name: string;
    value: string;
  };
  conversations: {
    id: string;
    workspace_id: string;
    type: ConversationType;
    name: string | null;
    name_key: string;
    topic: string | null;
    visibility: Visibility;
    history: History;
    created_by: string;
    created_at: string;
    deleted_at: string | null;
    member_count: number;
    applied_seq: number;
    /** `directKey(a, b)` of a direct conversation that is not deleted: unique within the workspace. */
    direct_key: string | null;
  };
  /** Current memberships, with the member's positions. */
  members: {
    conversation_id: string;
    user_id: string;
    role: Role;
    joined_seq: number;
    joined_at: string;
    read_seq: number;
    read_at: string | null;
    delivered_seq: number;
    delivered_at: string | null;
  };
  /** Memberships that ended. Apart, so that whatever asks for current members needs no filter and no partial index. */
  former_members: {
    conversation_id: string;
    user_id: string;
    joined_seq: number;
    left_seq: number;
    role: Role;
  };
}

/** A single letter can become 18 (U+FDFA), and an index of MySQL holds 3,072 bytes. */
export const NAME_KEY_MAX = 255;

/** What names are compared by: without case, and with compatibility forms (fullwidth, ligatures) taken for the plain ones. */
export function nameKey(name: string): string {
  const key = name.toWellFormed().normalize('NFKC').toLowerCase().slice(0, NAME_KEY_MAX);
  // Not half of a pair at the end: it would be stored as something else than it is compared with.
  return key.isWellFormed() ? key : key.slice(0, -1);
}

/** One key for an unordered pair. Ids have no colon. */
export function directKey(a: string, b: string): string {
  return a < b ? `${a}:${b}` : `${b}:${a}`;
}
