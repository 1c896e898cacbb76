import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { access, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { frontKinds } from '../../sidecar/front/front.ts';
import { TestAuthority } from '../support/certificates.ts';
import { makeSocketDirectory } from '../support/sidecar.ts';

const main = fileURLToPath(new URL('../../sidecar/main.ts', import.meta.url));
const server = new TestAuthority().issue();

let started: AsyncDisposableStack;
let directory: string;
beforeEach(async () => {
  started = new AsyncDisposableStack();
  directory = started.use(await makeSocketDirectory()).path;
});
afterEach(async () => await started.disposeAsync());

test.each(frontKinds)(
  'asked to stop while it starts, a sidecar over %s ends in order and leaves no socket',
  async (front) => {
    const socket = join(directory, 'sidecar.sock');
    const certificate = join(directory, 'tls.crt');
    const key = join(directory, 'tls.key');
    await writeFile(key, server.key);
    // Whoever reads it waits for who writes it: so long the start takes.
    expect(spawnSync('mkfifo', [certificate]).status).toBe(0);
    const child = spawn(process.execPath, [main], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: {
        PATH: process.env['PATH'],
        TM_SIDECAR_ADDRESS: '127.0.0.1:0',
        TM_SIDECAR_SOCKET: socket,
        TM_SIDECAR_SOURCE: 'grpc://127.0.0.1:1',
        TM_SIDECAR_TENANTS: 'acme',
        TM_SIDECAR_TLS_CERT: certificate,
        TM_SIDECAR_TLS_KEY: key,
        TM_SIDECAR_WIRE: front,
      },
    });
    const ended = Promise.all([once(child, 'exit'), text(child.stderr)]);
    started.defer(async () => {
      child.kill('SIGKILL');
      await ended;
    });
    // Opens when it reads.
    const writing = await open(certificate, 'w');
    child.kill('SIGTERM');
    await writing.writeFile(server.certificate);
    await writing.close();
    const [[code, signal], errors] = await ended;
    expect({ code, signal, errors }).toEqual({ code: 0, signal: null, errors: '' });
    await expect(access(socket)).rejects.toThrow('ENOENT');
  },
);
