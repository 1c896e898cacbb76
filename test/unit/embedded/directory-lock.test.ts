import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockDirectory } from '../../../deploy/embedded/directory-lock.ts';
import { describeProcess, identifySelf } from '../../../deploy/embedded/process-identity.ts';

let directory: string;
const chooseDelayMs = (): number => 0;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'lock-'));
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

/** Another process that lives until it is told to end. */
async function startOther() {
  const child = spawn('sleep', ['600'], { stdio: 'ignore' });
  await once(child, 'spawn');
  const identity = (await describeProcess(child.pid!))!;
  const end = async (): Promise<void> => {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
  return { identity: { pid: identity.pid, started: identity.started }, end };
}

test('a directory is locked for one process at a time', async () => {
  const first = await lockDirectory(directory, { chooseDelayMs });
  expect(first.kind).toBe('locked');
  expect(await lockDirectory(directory, { chooseDelayMs })).toEqual({ kind: 'held', holder: await identifySelf() });
  if (first.kind === 'locked') await first.lock[Symbol.asyncDispose]();
  expect((await lockDirectory(directory, { chooseDelayMs })).kind).toBe('locked');
});

test('another process that runs is named as its holder, and keeps it', async () => {
  const other = await startOther();
  const held = await lockDirectory(directory, { self: other.identity, chooseDelayMs });
  expect(held.kind).toBe('locked');
  expect(await lockDirectory(directory, { chooseDelayMs })).toEqual({ kind: 'held', holder: other.identity });
  expect(await readdir(join(directory, 'running'))).toHaveLength(1);
  await other.end();
});

test('the lock of a process that was killed is taken over', async () => {
  const other = await startOther();
  await lockDirectory(directory, { self: other.identity, chooseDelayMs });
  await other.end();
  expect((await lockDirectory(directory, { chooseDelayMs })).kind).toBe('locked');
  expect(await readdir(join(directory, 'running'))).toHaveLength(1);
});

test('a later process with the pid of the holder does not hold it', async () => {
  const other = await startOther();
  await lockDirectory(directory, { self: { pid: other.identity.pid, started: 'long ago' }, chooseDelayMs });
  expect((await lockDirectory(directory, { chooseDelayMs })).kind).toBe('locked');
  await other.end();
});

test('of two that begin in the same instant at most one gets it', async () => {
  const other = await startOther();
  const results = await Promise.all([
    lockDirectory(directory, { chooseDelayMs }),
    lockDirectory(directory, { self: other.identity, chooseDelayMs }),
  ]);
  expect(results.filter((result) => result.kind === 'locked').length).toBeLessThanOrEqual(1);
  await other.end();
});
