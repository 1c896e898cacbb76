import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { lstat } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createGrpcServer } from '../../src/platform/grpc/server.ts';
import { makeSocketDirectory } from '../support/sidecar.ts';

let started: AsyncDisposableStack;
let path: string;
beforeEach(async () => {
  started = new AsyncDisposableStack();
  path = join(started.use(await makeSocketDirectory()).path, 'server.sock');
});
afterEach(async () => await started.disposeAsync());

const modeOf = async (): Promise<number> => (await lstat(path)).mode & 0o777;

test('a socket is for its own user from the moment it is there, and the mask of the process is as it was', async () => {
  const before = process.umask(0o002);
  started.defer(() => void process.umask(before));
  const server = started.use(createGrpcServer({ drainMs: 0 }));
  const listening = server.listen(`unix:${path}`);
  const seen = new Set<number>();
  let isListening = false;
  void listening.then(() => (isListening = true));
  while (!isListening) {
    const mode = await modeOf().catch(() => undefined);
    if (mode !== undefined) seen.add(mode);
  }
  seen.add(await modeOf());
  expect(seen).toEqual(new Set([0o600]));
  // Reading the mask means setting it.
  expect(process.umask(0o002)).toBe(0o002);
});

test('a socket is for a group too when it is told which', async () => {
  const server = started.use(createGrpcServer({ drainMs: 0 }));
  const groupId = process.getgid?.() ?? 0;
  await server.listen(`unix:${path}`, { groupId });
  expect(await modeOf()).toBe(0o660);
  expect((await lstat(path)).gid).toBe(groupId);
});

/** Listens in a process of its own, which can be stopped and killed; takes two connections that it has not looked at. */
async function listenElsewhere() {
  const program = `require('node:net').createServer().listen({ path: ${JSON.stringify(path)}, backlog: 1 }, () => process.stdout.write('listening'))`;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  started.defer(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  await once(child.stdout, 'data');
  return { child, exited };
}

test('a socket that a killed process left is taken over', async () => {
  const { child, exited } = await listenElsewhere();
  child.kill('SIGKILL');
  await exited;
  const left = await lstat(path);
  expect(left.isSocket()).toBe(true);
  const server = started.use(createGrpcServer({ drainMs: 0 }));
  await expect(server.listen(`unix:${path}`)).resolves.toBe(`unix:${path}`);
});

test('a socket of somebody who is too busy to take one more connection keeps it', async () => {
  const { child } = await listenElsewhere();
  child.kill('SIGSTOP');
  const before = await lstat(path);
  for (let count = 0; count < 4; count++) {
    const connection = createConnection(path).on('error', () => {});
    started.defer(() => void connection.destroy());
  }
  const server = started.use(createGrpcServer({ drainMs: 0 }));
  await expect(server.listen(`unix:${path}`)).rejects.toThrow('it is in use');
  expect((await lstat(path)).ino).toBe(before.ino);
});
