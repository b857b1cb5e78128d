import { pino, type Logger } from 'pino';

export type { Logger } from 'pino';

/**
 * Structured logs, one JSON object a line. Field names are the same everywhere: `requestId`, `conversationId`, `seq`,
 * `userId`, `sessionId`. Message content, tokens and passwords are never logged.
 */
export function createLogger(options: { readonly level: string; readonly service: string }): Logger {
  return pino({
    level: options.level,
    base: { service: options.service },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: ['*.password', '*.token', '*.ticket', '*.authorization', 'authorization'], censor: '[redacted]' },
  });
}

/** For tests and tools that want no output. */
export const silentLogger: Logger = pino({ level: 'silent' });
