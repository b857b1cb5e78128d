import { ParleyError, type Scope, type UserId, type WorkspaceId } from '@parley/contracts';

/** Who makes a request. */
export interface Caller {
  readonly workspaceId: WorkspaceId;
  readonly userId: UserId;
  /** Administers the workspace; of an API key: it has the scope `admin`. */
  readonly admin: boolean;
  /** Null for people, who may do whatever their roles permit. */
  readonly scopes: readonly Scope[] | null;
  /** The sign-in, which can be ended; null for outside issuers and API keys. */
  readonly familyId: string | null;
  /** When what they showed us expires; null: not by itself. */
  readonly expiresAtMs: number | null;
  readonly kind: 'user' | 'external' | 'apiKey';
}

/** Throws `forbidden` if a key was not given the scope, or a person who is no admin asks for what is an admin's. */
export function requireScope(caller: Caller, scope: Scope): void {
  if (caller.scopes !== null) {
    if (!caller.scopes.includes(scope)) throw new ParleyError('forbidden', `The API key lacks the scope ${scope}`);
  } else if (scope === 'admin' && !caller.admin) {
    throw new ParleyError('forbidden', 'Only an admin of the workspace may do this');
  }
}
