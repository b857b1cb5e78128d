import { describe, expect, it } from '@jest/globals';
import type { ConversationType, Role } from '@parley/contracts';

import { ACTIONS, mayGrant, outranks, permits } from './permissions.js';

const ROLES: readonly Role[] = ['owner', 'admin', 'member', 'guest'];
const TYPES: readonly ConversationType[] = ['direct', 'group', 'channel'];

/** Who may what, by the first letter of the role. Written out, so that no change of it goes unnoticed. */
const TABLE = `
action              direct  group  channel
message.send        oamg    oamg   oamg
message.edit.own    oamg    oamg   oamg
message.delete.own  oamg    oamg   oamg
message.delete.any  -       oa     oa
mention.everyone    oamg    oam    oam
reaction            oamg    oamg   oamg
pin                 oamg    oam    oam
member.add          -       oam    oam
member.remove       -       oa     oa
member.role         -       oa     oa
leave               -       oamg   oamg
settings            -       oam    oa
delete              -       o      o`;

const rows = TABLE.trim()
  .split('\n')
  .slice(1)
  .map((line) => line.split(/\s+/));

describe('permissions', () => {
  it('are written out for every action', () => {
    expect(rows.map(([action]) => action)).toEqual([...ACTIONS]);
  });

  for (const action of ACTIONS) {
    it(`say who may: ${action}`, () => {
      const row = rows.find(([name]) => name === action) ?? [];
      const allowed = TYPES.map((type) =>
        ROLES.filter((role) => permits(type, action, role))
          .map((role) => role[0])
          .join(''),
      );
      expect(allowed.map((letters) => letters || '-')).toEqual(row.slice(1));
    });
  }

  it('let owners act on everyone and others only on those below them', () => {
    const acts = ROLES.map((role) => ROLES.filter((other) => outranks(role, other)));
    expect(acts).toEqual([['owner', 'admin', 'member', 'guest'], ['member', 'guest'], ['guest'], []]);
  });

  it('let nobody give away more than they have', () => {
    const grants = ROLES.map((role) => ROLES.filter((granted) => mayGrant(role, granted)));
    expect(grants).toEqual([
      ['owner', 'admin', 'member', 'guest'],
      ['admin', 'member', 'guest'],
      ['member', 'guest'],
      ['guest'],
    ]);
  });
});
