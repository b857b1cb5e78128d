import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { BUNDLED_LOGS, replay, type ReplayReport } from '@parley/replay';

import { Server } from './server.js';

describe('a real conversation, replayed as fast as it goes', () => {
  let server: Server;
  let report: ReplayReport;

  beforeAll(async () => {
    server = await Server.start({ PARLEY_RATE_LIMITS: 'off' });
    report = await replay({ url: server.url, speed: 'max', logs: BUNDLED_LOGS.slice(0, 1).map(({ log }) => log) });
  }, 120_000);
  afterAll(() => server.stop());

  it('shows every client exactly the log, in order, within its membership', () => {
    expect(report.conversations.map(({ name, verdict }) => ({ name, ...verdict.counts }))).toEqual([
      { name: '2004-11-15_03', lost: 0, duplicated: 0, reordered: 0, leaked: 0, altered: 0 },
    ]);
    expect(report.ok).toBe(true);
  });
});
