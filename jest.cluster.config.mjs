import base from './jest.config.mjs';

/** Specs that need the real engines, found through the environment that `make stack` writes (docs/development-stack.md). */
export default {
  ...base,
  testMatch: ['**/src/**/*.cluster.spec.ts'],
  testPathIgnorePatterns: ['/node_modules/'],
  testTimeout: 60_000,
};
