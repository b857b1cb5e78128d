export { BUNDLED_LOGS, type LogFiles } from './bundled-logs.js';
export { type ClientHistory, checkHistory, type ConversationHistory, type Verdict } from './history.js';
export { type ClientOptions, ReplayClient } from './replay-client.js';
export { replay, type ReplayOptions, type ReplayReport } from './replay.js';
export { printReport } from './report.js';
