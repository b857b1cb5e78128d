import { describe, expect, it } from '@jest/globals';

import { mysqlTarget } from './mysql-config.js';

describe('the address of a MySQL', () => {
  it('is taken from the URL, decoded', () => {
    expect(mysqlTarget({ url: 'mysql://us%40er:p%2Fw@db.example:3307/par%20ley' })).toEqual({
      host: 'db.example',
      port: 3307,
      user: 'us@er',
      password: 'p/w',
      database: 'par ley',
      tls: null,
      address: 'db.example:3307/par ley',
    });
    expect(mysqlTarget({ url: 'mysql://[::1]/parley' })).toMatchObject({ host: '::1', port: 3306, user: '' });
  });

  it('has its credentials from beside the URL when they are there', () => {
    const target = mysqlTarget({ url: 'mysql://a:b@db/parley', user: 'c', password: 'd' });
    expect(target).toMatchObject({ user: 'c', password: 'd' });
  });

  it.each(['db:3306', 'postgres://db/parley', 'mysql://db', 'mysql:///parley'])('is not %s', (url) => {
    expect(() => mysqlTarget({ url })).toThrow(/directory\.url/);
  });
});
