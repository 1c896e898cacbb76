import { execFile } from 'node:child_process';
import { readFile, readlink } from 'node:fs/promises';
import { basename } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { limits } from './limits.ts';

/** A process that cannot be mistaken for a later one of the same pid. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it started, in whatever notation the system has: equal for the same process only, across reboots too. */
  readonly started: string;
}

/** What the system knows about a running process. */
export interface ProcessDescription extends ProcessIdentity {
  /** Name of the program, without its directory. */
  readonly program: string;
  /** Its arguments, each between two separators: ask `hasArgument`. */
  readonly commandLine: string;
  /** Undefined where the system does not tell (macOS, another user's process in a container). */
  readonly workingDirectory: string | undefined;
}

const argumentSeparator = process.platform === 'linux' ? '\0' : ' ';

/**
 * Describes a running process; undefined when there is none. A zombie counts as none: it answers `kill(pid, 0)`, for ever
 * in a container whose first process does not reap, but it holds nothing any more.
 */
export async function describeProcess(pid: number): Promise<ProcessDescription | undefined> {
  if (!Number.isSafeInteger(pid) || pid <= 1) return undefined;
  return process.platform === 'linux' ? await describeFromProc(pid) : await describeFromPs(pid);
}

/** Identifies the process that runs this code. */
export async function identifySelf(): Promise<ProcessIdentity> {
  const self = await describeProcess(process.pid);
  return { pid: process.pid, started: self?.started ?? 'unknown' };
}

/** Whether exactly this process still runs. */
export async function isRunning(identity: ProcessIdentity): Promise<boolean> {
  const found = await describeProcess(identity.pid);
  return found?.started === identity.started;
}

/** Whether one argument of the process is this text, whole. */
export function hasArgument(description: ProcessDescription, argument: string): boolean {
  return description.commandLine.includes(`${argumentSeparator}${argument}${argumentSeparator}`);
}

/**
 * Waits until a process that is not our child has gone; false when it has not within the bound. There is no event for
 * this without a native addon (pidfd), hence the polling.
 */
export async function waitUntilGone(identity: ProcessIdentity, boundMs: number): Promise<boolean> {
  const end = performance.now() + boundMs;
  while (await isRunning(identity)) {
    if (performance.now() >= end) return false;
    await delay(limits.pollIntervalMs);
  }
  return true;
}

async function describeFromProc(pid: number): Promise<ProcessDescription | undefined> {
  const [stat, commandLine, workingDirectory, boot] = await Promise.all([
    readText(`/proc/${pid}/stat`),
    readText(`/proc/${pid}/cmdline`),
    readlink(`/proc/${pid}/cwd`).catch(() => undefined),
    readText('/proc/sys/kernel/random/boot_id'),
  ]);
  if (stat === undefined || commandLine === undefined) return undefined;
  // The second field is the program's name in brackets and may itself hold brackets and spaces: proc(5).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[0];
  const startTicks = fields[19];
  if (state === undefined || startTicks === undefined || state === 'Z' || state === 'X') return undefined;
  const program = basename(commandLine.split('\0')[0] ?? '');
  const started = `${boot?.trim() ?? ''}:${startTicks}`;
  return { pid, started, program, commandLine: `\0${commandLine}`, workingDirectory };
}

async function describeFromPs(pid: number): Promise<ProcessDescription | undefined> {
  const output = await new Promise<string | undefined>((resolve) => {
    const columns = ['-ww', '-o', 'stat=', '-o', 'lstart=', '-o', 'comm=', '-p', String(pid)];
    execFile('ps', columns, { env: { ...process.env, LC_ALL: 'C' } }, (error, text) => {
      resolve(error === null ? text : undefined);
    });
  });
  // Such as `S    Sat Nov 22 13:16:00 2026 /usr/local/bin/postgres`.
  const columns = /^(\S+)\s+(\S+\s+\S+\s+\d+\s+[\d:]+\s+\d+)\s+(.*)$/.exec(output?.trim() ?? '');
  const [, state, started, program] = columns ?? [];
  if (state === undefined || started === undefined || program === undefined || state.startsWith('Z')) return undefined;
  const commandLine = await new Promise<string>((resolve) => {
    execFile('ps', ['-ww', '-o', 'command=', '-p', String(pid)], (error, text) => {
      resolve(error === null ? text.trim() : '');
    });
  });
  return { pid, started, program: basename(program), commandLine: ` ${commandLine} `, workingDirectory: undefined };
}

async function readText(path: string): Promise<string | undefined> {
  return await readFile(path, 'utf8').catch(() => undefined);
}
