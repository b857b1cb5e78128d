import { parentPort, workerData } from 'node:worker_threads';

import type { BatchServer, FromWorker, SqliteWorkerData, ToWorker } from './sqlite-calls.js';
import { openReader } from './sqlite-reader.js';
import { openWriter } from './sqlite-writer.js';

/** The program of both worker threads: opens the file in its role and answers batches of calls. */
const port = parentPort;
if (port === null) throw new Error('This program runs as a worker thread');
const { role, file } = workerData as SqliteWorkerData;
const tell = (message: FromWorker): void => port.postMessage(message);

let server: BatchServer | undefined;
try {
  server = role === 'writer' ? openWriter(file) : openReader(file);
  tell({ kind: 'ready' });
} catch (error) {
  tell({ kind: 'failed', message: error instanceof Error ? error.message : String(error) });
}

port.on('message', (message: ToWorker) => {
  switch (message.kind) {
    case 'calls':
      if (server !== undefined) tell({ kind: 'results', results: server.run(message.calls) });
      break;
    case 'close':
      server?.close();
      port.close();
      break;
  }
});
