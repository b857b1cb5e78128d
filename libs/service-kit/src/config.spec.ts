import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';

import { ConfigError, intSetting, readConfig, switchSetting } from './config.js';

const settings = z.object({
  PORT: intSetting(8_080, 0, 65_535),
  LIMITS: switchSetting('on'),
  NAME: z.string().min(1).optional(),
});

const problemsOf = (env: NodeJS.ProcessEnv): string => {
  try {
    readConfig(settings, env);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error('it was meant to be refused');
};

describe('the configuration', () => {
  it('has a default for what is not set, or set to nothing', () => {
    expect(readConfig(settings, {})).toEqual({ PORT: 8_080, LIMITS: 'on' });
    expect(readConfig(settings, { PORT: '', NAME: '' })).toEqual({ PORT: 8_080, LIMITS: 'on' });
  });

  it('takes what is set, and nothing else of the environment', () => {
    const env = { PORT: '0', LIMITS: 'off', NAME: 'x', PATH: '/bin' };
    expect(readConfig(settings, env)).toEqual({ PORT: 0, LIMITS: 'off', NAME: 'x' });
  });

  it('names every setting that is wrong', () => {
    expect(problemsOf({ PORT: 'http', LIMITS: 'maybe' })).toMatch(
      /^The configuration is not valid:\n {2}PORT: must be a whole number\n {2}LIMITS: .*on.*off/,
    );
  });

  it('refuses numbers that are not whole or beyond their bounds', () => {
    for (const PORT of ['-1', '65536', '1.5', '1e3', '0x10', ' 1', '99999999999999999999']) {
      expect([PORT, problemsOf({ PORT })]).toEqual([PORT, expect.stringContaining('PORT: ')]);
    }
  });
});
