import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';

import { expect, it } from '@jest/globals';

import { RawSocket } from './raw-socket.js';
import { metric } from './metrics.js';
import { scenarioWithOwnServer } from './world.js';

const BUFFER_MAX_BYTES = 256 * 1024;
const settings = () => ({ PARLEY_SESSION_BUFFER_MAX_BYTES: String(BUFFER_MAX_BYTES) });

scenarioWithOwnServer('slow readers', 'it needs a small buffer', settings, (world) => {
  it('are cut off, while everyone else receives everything and memory stays bounded', async () => {
    const [ann, bob, carl] = await world.people(3);
    const { id } = await ann.create('group', [bob, carl]);
    const slow = await Promise.all(
      Array.from({ length: 10 }, async (_, n) => {
        const socket = await RawSocket.session(await bob.call('session', { body: { deviceId: `slow-${n}` } }));
        socket.webSocket.pause();
        return socket;
      }),
    );
    const reading = await carl.connect();
    const phone = await ann.connect();
    const text = 'x'.repeat(30_000);
    await phone.say(id, 'warm', text);
    const memory = () => metric(world.server.internalUrl, 'process_resident_memory_bytes');
    const beforeBytes = await memory();
    const messages = 1_000;
    for (let from = 0; from < messages; from += 50) {
      await Promise.all(Array.from({ length: 50 }, (_, n) => phone.say(id, `${from + n}`, text)));
    }
    await reading.until('everything', () => reading.seqs(id).length === messages + 1, 10_000);
    expect(reading.seqs(id)).toEqual(Array.from({ length: messages + 1 }, (_, n) => n + 1));
    expect(await metric(world.server.internalUrl, 'parley_chat_drops_total{reason="slow_reader"}')).toBe(slow.length);
    // 10 readers left 30 MB unread each: had they been kept, this would be 300 MB and more.
    expect((await memory()) - beforeBytes).toBeLessThan(200 * 1024 * 1024);
    for (const socket of slow) socket.webSocket.resume();
    await Promise.all(slow.map((socket) => socket.closed));
    // They come back and fetch what they missed.
    expect((await bob.sync(id, 0, 1_000)).entries).toHaveLength(messages);
  });

  it('of an event stream are cut off, and resume or are told to sync', async () => {
    const [ann, bob] = await world.people(2);
    const { id } = await ann.create('direct', [bob]);
    const request = get(`${world.url}/v1/events`, { headers: { authorization: `Bearer ${bob.accessToken}` } });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    response.on('error', () => undefined);
    request.on('error', () => undefined);
    const closed = new Promise((resolve) => response.once('close', resolve));
    // Not read: what the kernel's buffers do not hold waits in the server.
    response.pause();
    const drops = () => metric(world.server.internalUrl, 'parley_chat_drops_total{reason="slow_reader"}');
    const before = await drops().catch(() => 0);
    const phone = await ann.connect();
    const text = 'x'.repeat(30_000);
    for (let from = 0; from < 600; from += 50) {
      await Promise.all(Array.from({ length: 50 }, (_, n) => phone.say(id, `${from + n}`, text)));
    }
    expect(await drops()).toBeGreaterThan(before);
    response.resume();
    await closed;
    const stream = await bob.stream({ lastEventId: 'gone~gone~1' });
    await stream.next('resync');
    expect((await bob.sync(id, 0, 1_000)).entries).toHaveLength(600);
  });
});
