import { expect, it } from '@jest/globals';

import { scenarioWithOwnServer } from './world.js';

const settings = () => ({ PARLEY_AWAY_AFTER_MS: '1000' });

scenarioWithOwnServer('being away', 'people are away soon', settings, (world) => {
  it('shows after a while without a request, until the next one', async () => {
    const [ann, bob] = await world.people(2);
    const { id } = await ann.create('direct', [bob]);
    const watching = await ann.connect();
    await watching.ask('presence.subscribe', { userIds: [bob.id] });
    const phone = await bob.connect();
    await watching.next('presence.changed', ({ status }) => status === 'online');
    const away = await watching.next('presence.changed', ({ userId }) => userId === bob.id, 10_000);
    expect(away).toMatchObject({ userId: bob.id, status: 'away' });
    await phone.ask('typing.start', { conversationId: id });
    await expect(watching.next('presence.changed', ({ userId }) => userId === bob.id)).resolves.toMatchObject({
      status: 'online',
    });
  });
});
