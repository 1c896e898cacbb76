import { chmod, lstat, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readSidecarConfig } from '../../sidecar/config.ts';
import { startSidecar } from '../../sidecar/sidecar.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { makeSocketDirectory } from '../support/sidecar.ts';

let started: AsyncDisposableStack;
let session: string;
beforeEach(async () => {
  started = new AsyncDisposableStack();
  session = started.use(await makeSocketDirectory()).path;
});
afterEach(async () => await started.disposeAsync());

async function start(variables: Record<string, string> = {}): Promise<readonly string[]> {
  const config = readSidecarConfig({
    XDG_RUNTIME_DIR: session,
    TM_SIDECAR_ADDRESS: '127.0.0.1:0',
    TM_SIDECAR_SOURCE: 'grpc://127.0.0.1:1',
    TM_DRAIN_MS: '0',
    ...variables,
  });
  const sidecar = started.use(await startSidecar(config, createLogger('sidecar', 'silent')));
  return sidecar.addresses;
}

const socket = (): string => join(session, 'traffic-manager', 'sidecar.sock');

test('without a setting a sidecar has a socket for its own user, in a directory of its own', async () => {
  expect(await start()).toEqual([expect.stringMatching(/^127\.0\.0\.1:\d+$/), `unix:${socket()}`]);
  expect((await lstat(join(session, 'traffic-manager'))).mode & 0o777).toBe(0o700);
  expect((await lstat(socket())).mode & 0o777).toBe(0o600);
});

test('a directory that is there is used as it is', async () => {
  await mkdir(join(session, 'traffic-manager'));
  await chmod(join(session, 'traffic-manager'), 0o750);
  expect(await start({ TM_SIDECAR_ADDRESS: 'off' })).toEqual([`unix:${socket()}`]);
  expect((await lstat(join(session, 'traffic-manager'))).mode & 0o777).toBe(0o750);
});

test('the second sidecar of a machine does not start on the socket of the first, and leaves it there', async () => {
  await start();
  const { ino } = await lstat(socket());
  await expect(start()).rejects.toThrow(`cannot listen on unix:${socket()}: it is in use`);
  expect((await lstat(socket())).ino).toBe(ino);
  expect(await start({ TM_SIDECAR_SOCKET: 'off' })).toHaveLength(1);
});

test('where there can be no directory it goes on without a socket, unless it would listen nowhere then', async () => {
  await writeFile(join(session, 'file'), '');
  const notADirectory = { XDG_RUNTIME_DIR: join(session, 'file') };
  expect(await start(notADirectory)).toHaveLength(1);
  const portless = start({ ...notADirectory, TM_SIDECAR_ADDRESS: 'off' });
  await expect(portless).rejects.toThrow(/traffic-manager cannot be (made|used): ENOTDIR: set TM_SIDECAR_SOCKET/);
  const tooLong = { XDG_RUNTIME_DIR: `/tmp/${'x'.repeat(120)}` };
  expect(await start(tooLong)).toHaveLength(1);
});
