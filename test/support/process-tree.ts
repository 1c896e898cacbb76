import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** Sends a signal to a process, and then to its children (Postgres gives each backend a session, so no group has them all). */
export async function signalTree(pid: number, signal: NodeJS.Signals): Promise<void> {
  const children = await listChildren(pid);
  for (const each of [pid, ...children]) {
    try {
      process.kill(each, signal);
    } catch (error) {
      // It has gone in the meantime.
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
    }
  }
}

async function listChildren(pid: number): Promise<number[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=,ppid=']);
  const rows = stdout.split('\n').map((line) => line.trim().split(/\s+/).map(Number));
  return rows.filter(([, parent]) => parent === pid).map(([child = 0]) => child);
}
