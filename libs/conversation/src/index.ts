export * from './fold.js';
export * from './permissions.js';
export * from './visibility.js';
