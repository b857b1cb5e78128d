import { describe, expect, it } from '@jest/globals';
import {
  type Command,
  type CommandOutcome,
  entryId,
  type PresenceLink,
  type RoutingLink,
  seq,
  type UserId,
} from '@parley/contracts';
import { openRateLimiter } from '@parley/rate-limiter';
import { type Decoder, Encoder, type Packet } from 'socket.io-parser';

import { boundedParser } from './bounded-parser.js';
import { ANN, BOB, CHANNEL, configOf, liveSession, openServer, turn } from './chat-fixture.js';
import { Dispatcher, OVERSIZED_EVENT } from './dispatcher.js';
import { Load } from './load.js';
import { PresenceFeed } from './presence-feed.js';
import { requestHandlers } from './requests.js';
import type { Session } from './session.js';
import { TypingIndicator } from './typing.js';

const SEND = { conversationId: CHANNEL, clientId: 'k', content: { type: 'text', text: 'hi' } };

async function open(env: NodeJS.ProcessEnv = {}) {
  const server = await openServer();
  const { context, bus, membership, sessions, member, metrics } = server;
  const config = configOf(env);
  const commands: Command[] = [];
  const expelled: Session[] = [];
  const beats: string[] = [];
  let answer: (command: Command) => Promise<CommandOutcome> = async ({ actor, body }) => ({
    kind: 'accepted',
    entry: {
      conversationId: CHANNEL,
      seq: seq(7),
      id: entryId(CHANNEL, 7),
      senderId: actor.userId,
      sentAt: '2026-01-01T00:00:00.000Z',
      kind: 'message',
      content: body.kind === 'message' ? body.content : null,
    },
  });
  const routing: RoutingLink = {
    submit(command) {
      commands.push(command);
      return answer(command);
    },
  };
  const presenceLink: PresenceLink = {
    beat: async (_server, _epoch, users) =>
      void beats.push(users.map(({ userId, status }) => `${userId} ${status}`).join(', ')),
    get: async (_workspace, userIds) => userIds.map((userId) => ({ userId, status: 'online', lastSeenAt: null })),
  };
  const load = new Load(context.clock, config);
  const presence = new PresenceFeed(
    server.server,
    presenceLink,
    membership.link,
    sessions,
    () => member,
    context,
    config,
  );
  const typing = new TypingIndicator(membership.link, bus, context.clock);
  const dispatcher = new Dispatcher({
    handlers: requestHandlers({ routing, directory: membership.link, typing, presence, clock: context.clock }),
    limiter: await openRateLimiter({ adapter: 'in-process', nowMs: () => context.clock.now() }),
    load,
    presence,
    context,
    metrics,
    config,
    expel: (session) => expelled.push(session),
  });
  const { session, outlet } = liveSession(ANN);
  const ask = (event: string, ...args: unknown[]) => dispatcher.dispatch(session, event, args);
  const codeOf = async (event: string, ...args: unknown[]): Promise<string> => {
    const reply = await ask(event, ...args);
    return reply.ok ? 'ok' : reply.error.code;
  };
  return {
    ...server,
    ask,
    codeOf,
    commands,
    expelled,
    beats,
    load,
    presence,
    session,
    outlet,
    dispatcher,
    answerWith: (next: typeof answer) => (answer = next),
  };
}
const times = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

describe('a request', () => {
  it('is parsed, handed to routing with who asks, and acknowledged', async () => {
    const { ask, commands, session } = await open();
    expect(await ask('message.send', SEND)).toEqual({
      ok: true,
      message: {
        id: 'c1.7',
        seq: 7,
        conversationId: CHANNEL,
        clientId: 'k',
        senderId: ANN,
        sentAt: '2026-01-01T00:00:00.000Z',
      },
    });
    expect(commands).toMatchObject([
      {
        actor: { userId: ANN },
        conversationId: CHANNEL,
        originSessionId: session.id,
        body: { kind: 'message', clientId: 'k' },
      },
    ]);
  });

  it('says of a resend that it is one', async () => {
    const { ask, answerWith, commands } = await open();
    const first = await ask('message.send', SEND);
    const entry = commands.length === 1 ? ({ seq: 7, id: 'c1.7', senderId: ANN, sentAt: 'then' } as never) : undefined;
    answerWith(async () => ({ kind: 'duplicate', entry: entry as never }));
    expect(first).not.toHaveProperty('duplicate');
    expect(await ask('message.send', SEND)).toMatchObject({ ok: true, duplicate: true, message: { seq: 7 } });
  });

  it('is refused by name when it is no event, has no object, or the wrong fields', async () => {
    const { ask, commands } = await open();
    expect(await ask('message.shout', SEND)).toMatchObject({
      error: { code: 'invalid', message: 'There is no event message.shout' },
    });
    for (const args of [[], [SEND, 1]])
      expect(await ask('message.send', ...args)).toMatchObject({ error: { code: 'invalid' } });
    for (const wrong of [null, 'x', [], { ...SEND, colour: 1 }, { ...SEND, content: { type: 'text', text: '' } }]) {
      expect(await ask('message.send', wrong)).toMatchObject({
        ok: false,
        error: {
          code: 'invalid',
          retryable: false,
          requestId: expect.stringMatching(/^s\d+-\d+$/),
          issues: expect.any(Array),
        },
      });
    }
    expect(await ask('constructor', {})).toMatchObject({ error: { code: 'invalid' } });
    expect(commands).toEqual([]);
  });

  it('passes a refusal on as it is, and anything unexpected as internal', async () => {
    const { ask, answerWith } = await open();
    answerWith(async () => ({ kind: 'refused', refusal: { code: 'overloaded', message: 'busy', retryAfterMs: 5 } }));
    expect(await ask('message.send', SEND)).toMatchObject({
      error: { code: 'overloaded', retryable: true, retryAfterMs: 5 },
    });
    answerWith(async () => {
      throw new Error('the password is 1234');
    });
    const reply = await ask('message.send', SEND);
    expect(reply).toMatchObject({ error: { code: 'internal', retryable: true } });
    expect(JSON.stringify(reply)).not.toContain('1234');
  });

  it('is limited by user, sends apart from the rest', async () => {
    const { codeOf, ask, context } = await open({
      PARLEY_SENDS_PER_SECOND: '1',
      PARLEY_SENDS_BURST: '2',
      PARLEY_EVENTS_PER_SECOND: '1',
      PARLEY_EVENTS_BURST: '1',
    });
    expect([await codeOf('message.send', SEND), await codeOf('message.send', SEND)]).toEqual(['ok', 'ok']);
    expect(await ask('message.send', SEND)).toMatchObject({ error: { code: 'rate_limited', retryAfterMs: 1_000 } });
    expect(await codeOf('typing.start', { conversationId: CHANNEL })).toBe('ok');
    expect(await codeOf('typing.start', { conversationId: CHANNEL })).toBe('rate_limited');
    context.clock.advance(1_000);
    expect(await codeOf('message.send', SEND)).toBe('ok');
  });

  it('is not limited when limits are off', async () => {
    const { codeOf } = await open({ PARLEY_RATE_LIMITS: 'off', PARLEY_SENDS_PER_SECOND: '1', PARLEY_SENDS_BURST: '1' });
    for (const _ of times(5)) expect(await codeOf('message.send', SEND)).toBe('ok');
  });

  it('waits with at most a thousand others of its session', async () => {
    const { ask, answerWith, session } = await open({ PARLEY_SENDS_BURST: '5000' });
    const gate = Promise.withResolvers<CommandOutcome>();
    answerWith(() => gate.promise);
    const waiting = times(1_000).map(() =>
      ask('message.edit', { conversationId: CHANNEL, seq: 1, content: SEND.content }),
    );
    expect(session.inFlight).toBe(1_000);
    expect(await ask('message.send', SEND)).toMatchObject({ error: { code: 'overloaded', retryable: true } });
    gate.resolve({ kind: 'unchanged', seq: seq(3) });
    expect(await Promise.all(waiting)).toEqual(times(1_000).map(() => ({ ok: true, seq: 3 })));
    expect(session.inFlight).toBe(0);
  });
});

describe('a session that misbehaves', () => {
  it('is closed at the tenth frame that is unknown, too large or too many, after its acknowledgement', async () => {
    const { codeOf, expelled, session } = await open({ PARLEY_SENDS_PER_SECOND: '1', PARLEY_SENDS_BURST: '1' });
    await codeOf('message.send', SEND);
    for (const _ of times(3)) expect(await codeOf('nonsense', {})).toBe('invalid');
    for (const _ of times(3)) expect(await codeOf(OVERSIZED_EVENT)).toBe('too_large');
    for (const _ of times(3)) expect(await codeOf('message.send', SEND)).toBe('rate_limited');
    await turn();
    expect(expelled).toEqual([]);
    expect(await codeOf('nonsense', {})).toBe('invalid');
    expect(expelled).toEqual([]);
    await turn();
    expect(expelled).toEqual([session]);
  });

  it('is not one whose requests are merely wrong, or spread over time', async () => {
    const { codeOf, expelled, context } = await open();
    for (const _ of times(30)) await codeOf('message.send', { ...SEND, content: {} });
    for (const _ of times(30)) {
      await codeOf('nonsense', {});
      context.clock.advance(7_000);
    }
    await turn();
    expect(expelled).toEqual([]);
  });
});

describe('under load', () => {
  it('what nobody misses is shed first, then new connections, and what people say last', async () => {
    const { load, codeOf } = await open();
    const state = async (delayMs: number) => {
      load.observe(delayMs);
      return [
        await codeOf('typing.start', { conversationId: CHANNEL }),
        await codeOf('presence.subscribe', { userIds: [] }),
        load.sheds('connections'),
        await codeOf('message.send', SEND),
      ];
    };
    expect(await state(0)).toEqual(['ok', 'ok', false, 'ok']);
    expect(await state(150)).toEqual(['overloaded', 'overloaded', false, 'ok']);
    expect(await state(500)).toEqual(['overloaded', 'overloaded', true, 'ok']);
    expect(await state(2_000)).toEqual(['overloaded', 'overloaded', true, 'overloaded']);
    expect(await state(Number.NaN)).toEqual(['ok', 'ok', false, 'ok']);
  });
});

describe('the bounded parser', () => {
  const decode = (text: string): Packet[] => {
    const found: Packet[] = [];
    const decoder: Decoder = new boundedParser.Decoder();
    decoder.on('decoded', (packet: Packet) => found.push(packet));
    decoder.add(text);
    return found;
  };
  const event = (bytes: number, id?: number): string => {
    const [text] = new Encoder().encode({
      type: 2,
      nsp: '/',
      data: ['message.send', ''],
      ...(id === undefined ? {} : { id }),
    });
    return String(text).replace('""', `"${'x'.repeat(bytes - String(text).length)}"`);
  };

  it('reads a frame of 256 KiB, and puts a marker with the acknowledgement’s id in place of a larger one', () => {
    expect(decode(event(256 * 1024, 12))).toMatchObject([
      { type: 2, id: 12, data: ['message.send', expect.any(String)] },
    ]);
    expect(decode(event(256 * 1024 + 1, 12))).toMatchObject([{ type: 2, id: 12, data: [OVERSIZED_EVENT] }]);
    expect(decode(event(256 * 1024 + 1))).toMatchObject([{ type: 2, data: [OVERSIZED_EVENT] }]);
  });

  it('counts bytes, not characters', () => {
    expect(decode(`2["a","${'€'.repeat(87_300)}"]`)).toMatchObject([{ data: ['a', expect.any(String)] }]);
    expect(decode(`2["a","${'€'.repeat(87_400)}"]`)).toMatchObject([{ data: [OVERSIZED_EVENT] }]);
  });

  it('takes a large frame that is no event for a violation', () => {
    expect(() => decode(`0${'x'.repeat(300_000)}`)).toThrow('frame too large');
  });
});

describe('presence of a server’s people', () => {
  it('goes out in one batch every five seconds, one row a person, away after five minutes', async () => {
    const { presence, sessions, beats, context } = await open();
    for (const userId of [ANN, ANN, BOB]) await sessions.add(liveSession(userId).session);
    presence.start();
    context.clock.advance(5_000);
    await turn();
    expect(beats).toEqual(['ann online, bob online']);
    context.clock.advance(295_000);
    await turn();
    expect(beats.at(-1)).toBe('ann away, bob away');
    const [first] = sessions.all();
    if (first !== undefined) presence.active(first);
    await turn();
    expect(beats.at(-1)).toBe('ann online');
    context.clock.advance(5_000);
    await turn();
    expect(beats.at(-1)).toBe('ann online, bob away');
    presence.stop();
  });

  it('goes out at once for those who arrive, together', async () => {
    const { presence, beats } = await open();
    await Promise.all([ANN, BOB].map((userId) => presence.arrived(liveSession(userId).session)));
    expect(beats).toEqual(['ann online, bob online']);
  });

  it('of others comes to those who watch, strangers left out, until they stop or go', async () => {
    const { presence, bus, received } = await open();
    const watcher = liveSession(ANN);
    const seen = await presence.subscribe(watcher.session, [BOB, BOB, 'stranger' as UserId]);
    expect(seen).toEqual([{ userId: BOB, status: 'online', lastSeenAt: null }]);
    const change = {
      workspaceId: watcher.session.workspaceId,
      conversationId: null,
      history: 'all',
      frames: [{ event: 'presence.changed', data: '{}' }],
      seq: seq(0),
      showsSeq: seq(0),
      memberSeq: seq(0),
      prevMemberSeq: seq(0),
      receivedAtMs: 0,
    } as const;
    presence.receive(BOB, change);
    presence.receive('stranger' as UserId, change);
    presence.receive(BOB, { ...change, workspaceId: 'other' as never });
    expect(watcher.outlet.labels).toEqual(['presence.changed']);
    await bus.publish('p:bob', change);
    expect(received).toHaveLength(1);
    presence.gone(watcher.session);
    await bus.publish('p:bob', change);
    presence.receive(BOB, change);
    expect([received.length, watcher.outlet.frames.length]).toEqual([1, 1]);
  });
});
