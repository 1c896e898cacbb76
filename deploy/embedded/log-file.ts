import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { limits } from './limits.ts';

/**
 * Opens a log for a server to write into, empty. A file, not a pipe: a server whose reader was killed would block on a
 * full pipe or lose what it says.
 */
export async function openLog(path: string): Promise<FileHandle> {
  const { O_APPEND, O_CREAT, O_NOFOLLOW, O_TRUNC, O_WRONLY } = constants;
  return await open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW, 0o600);
}

/** The last lines of a log, empty ones left out; none when it cannot be read. */
export async function readLastLines(path: string, count: number = limits.logLinesShown): Promise<string[]> {
  const file = await open(path, 'r').catch(() => undefined);
  if (file === undefined) return [];
  try {
    const { size } = await file.stat();
    const length = Math.min(size, limits.logTailBytes);
    const { buffer } = await file.read({ buffer: Buffer.alloc(length), position: size - length });
    const lines = buffer.toString('utf8').split('\n');
    // The first one may have lost its beginning.
    if (length < size) lines.shift();
    return lines.filter((line) => line.trim() !== '').slice(-count);
  } finally {
    await file.close();
  }
}
