import { describe, expect, it } from '@jest/globals';
import type { ConversationId, InstanceId } from '@parley/contracts';
import type { Instance } from '@parley/discovery';

import { Writers } from './writers.js';

const instance = (number: number, epoch: number): Instance => ({
  service: 'routing',
  instanceId: `routing-${number}` as InstanceId,
  address: `a:${number}`,
  region: 'local',
  version: '1',
  state: 'ready',
  epoch,
});
const writers = (number: number, epoch: number, list: readonly Instance[]): Writers =>
  new Writers(
    { instanceId: `routing-${number}` as InstanceId, epoch: () => epoch },
    { instances: () => list, close: () => undefined },
  );

describe('a writer', () => {
  it('is gone when it is not on the list, or came back as another epoch', () => {
    const own = writers(1, 3, [instance(1, 3), instance(2, 7)]);
    expect(own.name).toBe('routing-1@3');
    expect(['routing-1@3', 'routing-2@7', 'routing-1@2', 'routing-2@6', 'routing-9@1'].map((w) => own.gone(w))).toEqual(
      [false, false, true, true, true],
    );
  });

  it('is not gone for itself before it is on its own list', () => {
    expect(writers(1, 3, []).gone('routing-1@3')).toBe(false);
  });

  it('leaves each conversation to one of those that live', () => {
    const list = [instance(1, 1), instance(2, 1), instance(3, 1)];
    for (let at = 0; at < 50; at += 1) {
      const takers = [1, 2, 3].filter((number) => writers(number, 1, list).takesUp(`c_${at}` as ConversationId));
      expect(takers).toHaveLength(1);
    }
  });
});
