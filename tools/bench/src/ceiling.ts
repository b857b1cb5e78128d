import { mapBounded, RawSession } from '@parley/load';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { onCores, SERVER_CORE } from './cores.js';
import { trafficLine } from './report.js';
import { closeAll, type Rig } from './rig.js';
import { Traffic, type TrafficResult } from './traffic.js';

export interface CeilingLoad {
  readonly rooms: number;
  readonly sessionsPerRoom: number;
  readonly ratePerSecond: number;
  readonly durationMs: number;
}

const BARE_SERVER = fileURLToPath(new URL('./bare-server.js', import.meta.url));
const CONNECT_AT_ONCE = 64;

/** The same generator against a server that does next to nothing: where this is no faster, the generator is the limit. */
export async function measureCeiling(rig: Rig, load: CeilingLoad): Promise<TrafficResult> {
  const [command = '', ...args] = onCores(SERVER_CORE, [process.execPath, BARE_SERVER]);
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const kill = (): boolean => child.kill('SIGKILL');
  process.once('exit', kill);
  const traffic = new Traffic();
  let sessions: readonly RawSession[] = [];
  try {
    const [port] = (await once(child.stdout, 'data')) as [Buffer];
    const address = { host: '127.0.0.1', port: Number(port.toString()), path: '/' };
    const places = Array.from({ length: load.rooms * load.sessionsPerRoom }, (_none, index) => index % load.rooms);
    sessions = await mapBounded(places, CONNECT_AT_ONCE, (room) =>
      RawSession.open({ ...address, ticket: `room-${room}` }, { onEvent: traffic.onEvent }),
    );
    const result = await traffic.measure({
      ratePerSecond: load.ratePerSecond,
      durationMs: load.durationMs,
      graceMs: 5_000,
      processes: new Map([['bare server', child.pid ?? process.pid]]),
      senderOf: (index) => {
        const session = sessions[index % sessions.length];
        if (session === undefined) throw new RangeError('no sessions');
        return { session, conversationId: 'c', receivers: load.sessionsPerRoom - 1 };
      },
    });
    rig.print(`  generator against a bare server: ${trafficLine(result)}`);
    return result;
  } finally {
    closeAll(sessions);
    process.off('exit', kill);
    kill();
  }
}
