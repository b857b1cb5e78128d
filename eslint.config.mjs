import boundaries from 'eslint-plugin-boundaries';
import importX from 'eslint-plugin-import-x';
import { createTypeScriptImportResolver } from 'eslint-import-resolver-typescript';
import tseslint from 'typescript-eslint';

/**
 * Dependencies point one way: app → kit → port → engine → contracts, with the domain beside the ports; tools know
 * contracts only, and no app imports an app but standalone, which composes them. An engine is what the adapters of
 * several ports share of one server.
 */
const layers = [
  { type: 'contracts', pattern: 'libs/contracts' },
  { type: 'domain', pattern: 'libs/conversation' },
  {
    type: 'port',
    pattern:
      'libs/{conversation-log,directory,event-bus,session-registry,presence-store,frame-bus,discovery,rate-limiter,head-cache}',
  },
  { type: 'engine', pattern: 'libs/redis-client' },
  { type: 'kit', pattern: 'libs/{service-kit,links,tickets,adapters}' },
  { type: 'standalone', pattern: 'apps/standalone' },
  { type: 'app', pattern: 'apps/*', capture: ['name'] },
  { type: 'tool', pattern: 'tools/*' },
];
const allow = (from, to) => ({ from: { element: { type: from } }, allow: { to: { element: { type: to } } } });

export default tseslint.config(
  { ignores: ['**/dist/**', '**/node_modules/**', '.nx/**', '**/*.d.ts', '**/generated/**'] },
  ...tseslint.configs.strict,
  {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    plugins: { boundaries, 'import-x': importX },
    settings: {
      'boundaries/elements': layers,
      'import-x/resolver-next': [
        createTypeScriptImportResolver({
          project: 'tsconfig.json',
          conditionNames: ['@parley/source', 'types', 'import', 'default'],
        }),
      ],
      'import/resolver': {
        typescript: { project: 'tsconfig.json', conditionNames: ['@parley/source', 'types', 'import', 'default'] },
      },
    },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/no-extraneous-class': 'off',
      '@typescript-eslint/no-invalid-void-type': 'off',
      'import-x/no-cycle': 'error',
      'import-x/no-unresolved': 'error',
      'max-lines': ['error', { max: 400, skipBlankLines: true, skipComments: true }],
    },
  },
  // A table of routes, one beside the other.
  { files: ['libs/contracts/src/rest.ts'], rules: { 'max-lines': 'off' } },
  {
    files: ['apps/**/*.ts', 'libs/**/*.ts', 'tools/**/*.ts'],
    rules: {
      'boundaries/dependencies': [
        'error',
        {
          default: 'disallow',
          policies: [
            allow('domain', ['contracts']),
            allow('engine', ['contracts']),
            allow('port', ['contracts', 'engine']),
            allow('kit', ['contracts', 'engine', 'port', 'kit']),
            allow('app', ['contracts', 'domain', 'port', 'kit']),
            allow('standalone', ['contracts', 'port', 'kit', 'app']),
            allow('tool', ['contracts', 'tool']),
          ],
        },
      ],
    },
  },
);
