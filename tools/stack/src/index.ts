export {
  ENGINES,
  type CommitLogSync,
  type EngineName,
  type EngineNode,
  type NodeCount,
  type RedisMode,
} from './engine.js';
export type { StackSettings } from './engine.js';
export { environmentOf, renderEnvironment, type Environment } from './environment.js';
export type { NodeState } from './launch.js';
export { findStack, openStack, type NodeStatus, type Stack, type StackOptions, type StackProgress } from './stack.js';
