import base from './jest.config.mjs';

/** Stops engines and services under load, on a stack and a cluster of its own (docs/failure-policy.md). */
export default {
  ...base,
  testMatch: ['**/src/**/*.faults.spec.ts'],
  testPathIgnorePatterns: ['/node_modules/'],
  testTimeout: 60_000,
  maxWorkers: 1,
};
