import { describe, expect, it } from '@jest/globals';

import { ParleyError } from '@parley/contracts';
import kafkajs from 'kafkajs';

import { toDeadMessage, toOriginalMessage } from './kafka-dead-letters.js';
import { isStalled } from './kafka-lag.js';
import { unwritten } from './kafka-sender.js';
import { isOutage } from './kafka-subscription.js';
import { calmKafkaJsTimers } from './kafkajs-timers.js';

describe('what can go wrong with kafkajs', () => {
  it('tells brokers that are away from everything else', () => {
    const refused = new kafkajs.KafkaJSConnectionError('connect ECONNREFUSED');
    const gaveUp = new kafkajs.KafkaJSNumberOfRetriesExceeded(refused, { retryCount: 5, retryTime: 100 });
    expect([refused, gaveUp, new ParleyError('unavailable', 'late')].map(isOutage)).toEqual([true, true, true]);
    const bug = new TypeError('x is undefined');
    const forbidden = new kafkajs.KafkaJSNonRetriableError('Not authorized');
    expect([bug, forbidden, new Error('?'), 'thrown'].map(isOutage)).toEqual([false, false, false, false]);
  });

  it('finds partitions whose records no broker confirmed', () => {
    const chosen = new Set(['t/0', 't/1', 't/2']);
    const confirmed = (partition: number, errorCode = 0) => ({ topicName: 't', partition, errorCode });
    expect(unwritten(chosen, [confirmed(0), confirmed(1), confirmed(2)])).toEqual([]);
    expect(unwritten(chosen, [confirmed(0), confirmed(1, 6)])).toEqual(['t/1', 't/2']);
  });

  it('calls stalled only a consumer that is idle beside records of its own partitions', () => {
    const consumer = (idleMs: number, ...assigned: number[]) => ({ assigned: new Set(assigned), idleMs: () => idleMs });
    const behind = new Map([
      [0, 0],
      [1, 5],
    ]);
    expect(isStalled(consumer(31_000, 0, 1), behind, 30_000)).toBe(true);
    expect(isStalled(consumer(29_000, 0, 1), behind, 30_000)).toBe(false);
    expect(isStalled(consumer(31_000, 0), behind, 30_000)).toBe(false);
    expect(isStalled(null, behind, 30_000)).toBe(false);
  });

  it('mends the timers of the version that is installed, once', () => {
    calmKafkaJsTimers();
    expect(calmKafkaJsTimers).not.toThrow();
  });

  it('gives a dead record back as it was', () => {
    const headers = { v: Buffer.from('1'), trace: Buffer.from('t') };
    const original = { offset: '7', key: Buffer.from('k'), value: Buffer.from([0xff, 0x00]), headers };
    const dead = toDeadMessage(original, { group: 'g', error: 'e'.repeat(5_000), atMs: 42, partition: 3 });
    expect(dead.headers['parley-dead-error']).toHaveLength(1_000);
    const { key, value } = original;
    expect(toOriginalMessage({ offset: '0', ...dead, key })).toEqual({ key, value, headers: { v: '1', trace: 't' } });
  });
});
