import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import {
  describeProcess,
  hasArgument,
  identifySelf,
  isRunning,
  waitUntilGone,
} from '../../../deploy/embedded/process-identity.ts';

test('a process is described by its program and its arguments, each whole', async () => {
  const child = spawn('sleep', ['600', '601'], { stdio: 'ignore' });
  await once(child, 'spawn');
  const found = (await describeProcess(child.pid!))!;
  expect(found).toMatchObject({ pid: child.pid, program: 'sleep' });
  expect(hasArgument(found, '600')).toBe(true);
  expect(hasArgument(found, '60')).toBe(false);
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
  expect(await describeProcess(child.pid!)).toBeUndefined();
  expect(await waitUntilGone(found, 0)).toBe(true);
});

test('a process that has ended but was not waited for counts as gone', async () => {
  // The shell becomes `sleep`, which waits for no child: `cat` is a zombie once its input has ended.
  const script = 'cat <&3 & echo $!; exec sleep 600';
  const parent = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore', 'pipe'] });
  const [line] = (await once(parent.stdout!, 'data')) as [Buffer];
  const child = (await describeProcess(Number(line.toString('utf8'))))!;
  while ((await describeProcess(parent.pid!))?.program !== 'sleep');
  parent.stdio[3]!.destroy();
  expect(await waitUntilGone(child, 5_000)).toBe(true);
  expect(process.kill(child.pid, 0)).toBe(true);
  expect(await describeProcess(child.pid)).toBeUndefined();
  const ended = once(parent, 'exit');
  parent.kill('SIGKILL');
  await ended;
});

test('a process is not taken for an earlier one of its pid', async () => {
  const self = await identifySelf();
  expect(await isRunning(self)).toBe(true);
  expect(await isRunning({ ...self, started: 'long ago' })).toBe(false);
});

test('nothing that is no pid is ever described', async () => {
  for (const pid of [0, -1, 1, 1.5, Number.NaN]) expect(await describeProcess(pid)).toBeUndefined();
});
