import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

import type { EngineNode, Launch } from './engine.js';
import {
  type ProcessRecord,
  type ProcessState,
  readRecord,
  recordOf,
  removeRecord,
  signalProcess,
  stateOf,
  waitForState,
  writeRecord,
} from './process-record.js';
import { lastLines } from './run.js';

/** A longer log is put aside at the next start; one older log is kept. */
const LOG_MAX_BYTES = 32 << 20;
const SIGNAL_WITHIN_MS = 10_000;
const LOG_LINES = 12;

/** `down` was never started or has been stopped; `dead` ended by itself or was killed. */
export type NodeState = 'running' | 'paused' | 'dead' | 'down';

export function nodeRecord(node: EngineNode): ProcessRecord | undefined {
  return readRecord(recordFile(node));
}

export function nodeState(node: EngineNode): NodeState {
  const record = nodeRecord(node);
  if (record === undefined) return 'down';
  const state = stateOf(record);
  return state === 'gone' ? 'dead' : state;
}

/**
 * Starts the node as a process that outlives this one and hears no Ctrl-C of its terminal. All of it happens in one turn,
 * so that wherever this process is interrupted, what runs is on record.
 */
export function launch(node: EngineNode, { command, args }: Launch): ProcessRecord {
  mkdirSync(dirname(node.logFile), { recursive: true });
  putAside(node.logFile);
  const log = openSync(node.logFile, 'a');
  const child = spawn(command, args, {
    cwd: node.folder,
    detached: true,
    stdio: ['ignore', log, log],
    env: environmentWithoutEtcd(),
  });
  closeSync(log);
  // A program that cannot be run says so later as well; the missing pid has said it.
  child.once('error', () => undefined);
  const record = child.pid === undefined ? undefined : recordOf(child.pid);
  if (record === undefined) throw new Error(`${node.name}: ${command} could not be started`);
  writeRecord(recordFile(node), record);
  child.unref();
  return record;
}

/** SIGTERM, and SIGKILL after a bound. The node is `down` then. */
export async function stopNode(node: EngineNode, withinMs: number): Promise<void> {
  const record = nodeRecord(node);
  if (record === undefined) return;
  if (stateOf(record) !== 'gone') {
    signalProcess(node.name, record, 'SIGTERM');
    signalProcess(node.name, record, 'SIGCONT'); // a paused process would only hear it then
    if (!(await waitForState(record, 'gone', withinMs))) await killNode(node);
  }
  removeRecord(recordFile(node));
}

/** SIGKILL; resolves when it is gone and its ports are free. */
export function killNode(node: EngineNode): Promise<void> {
  return signalUntil(node, 'SIGKILL', 'gone');
}

/** SIGSTOP; resolves when it has stopped. */
export function pauseNode(node: EngineNode): Promise<void> {
  return signalUntil(node, 'SIGSTOP', 'paused');
}

/** SIGCONT; resolves when it goes on. */
export function resumeNode(node: EngineNode): Promise<void> {
  return signalUntil(node, 'SIGCONT', 'running');
}

async function signalUntil(node: EngineNode, signal: NodeJS.Signals, state: ProcessState): Promise<void> {
  const record = nodeRecord(node);
  if (record === undefined) throw new Error(`${node.name} is not running`);
  signalProcess(node.name, record, signal);
  if (await waitForState(record, state, SIGNAL_WITHIN_MS)) return;
  throw new Error(`${node.name} is ${stateOf(record)} ${SIGNAL_WITHIN_MS} ms after ${signal}`);
}

/** For the error of a node that ended by itself. */
export function endOfLog(node: EngineNode): string {
  return `${node.logFile} ends with\n${lastLines(readFileSync(node.logFile, 'utf8').slice(-20_000), LOG_LINES)}`;
}

function recordFile(node: EngineNode): string {
  return join(node.folder, 'process.json');
}

function putAside(logFile: string): void {
  const size = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0;
  if (size > LOG_MAX_BYTES) renameSync(logFile, `${logFile}.1`);
}

/** etcd takes every variable that begins with its name for a flag, and ends at one that it does not know. */
function environmentWithoutEtcd(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('ETCD_')));
}
