import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { limits } from './limits.ts';
import { errorCode } from './private-directory.ts';
import { identifySelf, isRunning, type ProcessIdentity } from './process-identity.ts';

/** What came of trying to lock a directory. */
export type LockResult =
  | { readonly kind: 'locked'; readonly lock: DirectoryLock }
  | { readonly kind: 'held'; readonly holder: ProcessIdentity };

/** Holds a directory until it is disposed or its process dies. */
export interface DirectoryLock extends AsyncDisposable {
  readonly holder: ProcessIdentity;
}

/** Whose lock it is, and how long to wait before trying again; both default to the real ones. */
export interface LockOptions {
  readonly self?: ProcessIdentity;
  readonly chooseDelayMs?: (maximumMs: number) => number;
}

/**
 * Locks a directory for one process.
 *
 * Each process that wants it first puts up a file of its own, named after its pid and start time, then looks round: if
 * another one's process still runs, it takes its own down again and is refused. So two can never both hold it, and a file
 * that a killed process left is removed without any race, for that name never comes back (pids are reused, start times
 * are not). The price is that two that begin in the same instant may both step back; they try again after a random while.
 * Rejected: one lock file with a pid in it, whose stale one cannot be replaced without a window for two; and `flock`,
 * which Node does not have.
 */
export async function lockDirectory(directory: string, options: LockOptions = {}): Promise<LockResult> {
  const self = options.self ?? (await identifySelf());
  const chooseDelayMs = options.chooseDelayMs ?? ((maximumMs) => randomInt(1, maximumMs));
  const running = join(directory, 'running');
  await mkdir(running, { recursive: true, mode: 0o700 });
  const own = fileName(self);
  for (let attempt = 1; ; attempt += 1) {
    // Ours by name and already there: this very process holds it.
    if (!(await putUp(join(running, own)))) return { kind: 'held', holder: self };
    const other = await findOther(running, own);
    if (other === undefined) {
      const release = async (): Promise<void> => await rm(join(running, own), { force: true });
      return { kind: 'locked', lock: { holder: self, [Symbol.asyncDispose]: release } };
    }
    await rm(join(running, own), { force: true });
    if (attempt >= limits.lockAttempts) return { kind: 'held', holder: other };
    await delay(chooseDelayMs(limits.lockRetryMs));
  }
}

async function putUp(path: string): Promise<boolean> {
  try {
    await writeFile(path, '', { mode: 0o600, flag: 'wx' });
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

async function findOther(running: string, own: string): Promise<ProcessIdentity | undefined> {
  for (const name of await readdir(running)) {
    const identity = parseFileName(name);
    if (name === own || identity === undefined) continue;
    if (await isRunning(identity)) return identity;
    await rm(join(running, name), { force: true });
  }
  return undefined;
}

function fileName(identity: ProcessIdentity): string {
  return `${identity.pid}-${Buffer.from(identity.started).toString('base64url')}`;
}

function parseFileName(name: string): ProcessIdentity | undefined {
  const [, pid, started] = /^(\d+)-([\w-]+)$/.exec(name) ?? [];
  if (pid === undefined || started === undefined) return undefined;
  return { pid: Number(pid), started: Buffer.from(started, 'base64url').toString('utf8') };
}
