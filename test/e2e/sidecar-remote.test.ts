import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { frontKinds } from '../../sidecar/front/front.ts';
import { runProgram } from '../../src/cli/program.ts';
import { channelKinds } from '../../src/client/channel.ts';
import { createClient, type TlsSettings } from '../../src/client/index.ts';
import { TestAuthority } from '../support/certificates.ts';
import { runProcess, startProcess } from '../support/sidecar-process.ts';
import { makeSocketDirectory } from '../support/sidecar.ts';

const token = 'a-token-of-16-or-more';
const authority = new TestAuthority();
const server = authority.issue();
const app = authority.issue('an app');

let started: AsyncDisposableStack;
let directory: string;
/** What the process is told, but for the token. */
let settings: Record<string, string>;

beforeEach(async () => {
  started = new AsyncDisposableStack();
  directory = started.use(await makeSocketDirectory()).path;
  settings = {
    TM_SIDECAR_ADDRESS: '127.0.0.1:0',
    TM_SIDECAR_REMOTE: 'on',
    TM_SIDECAR_SOCKET: join(directory, 'sidecar.sock'),
    // Nobody is there: its status can be asked for all the same.
    TM_SIDECAR_SOURCE: 'grpc://127.0.0.1:1',
    TM_SIDECAR_TLS_CERT: await put('tls.crt', server.certificate),
    TM_SIDECAR_TLS_KEY: await put('tls.key', server.key),
  };
  await put('ca.crt', authority.certificate);
  await put('app.crt', app.certificate);
  await put('app.key', app.key);
});
afterEach(async () => await started.disposeAsync());

async function put(name: string, text: string): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, text);
  return path;
}

class Sink extends Writable {
  text = '';

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

async function run(args: readonly string[], env: Record<string, string> = {}) {
  const [stdout, stderr] = [new Sink(), new Sink()];
  const { signal } = new AbortController();
  const terminal = { env, stdout, stderr, signal, actor: 'tester', newCorrelationId: () => 'cli-1' };
  const code = await runProgram(args, terminal);
  return { code, out: stdout.text, errors: stderr.text };
}

describe.each(frontKinds)('a sidecar on %s that is open to other machines', (front) => {
  async function start(more: Record<string, string>) {
    const { addresses } = started.use(await startProcess('sidecar', { ...settings, TM_SIDECAR_WIRE: front, ...more }));
    const [address = '', socket = ''] = addresses;
    return { address, socket };
  }

  test('answers the command line that believes it and has its token, and nobody else on its port', async () => {
    const { address, socket } = await start({ TM_SIDECAR_TOKEN: token });
    const status = ['sidecar', 'status', '--sidecar', address];
    const believing = [...status, '--tls-ca', join(directory, 'ca.crt')];
    expect(await run([...believing, '--token', token])).toMatchObject({ code: 0, errors: '' });
    expect(await run(believing, { TM_SIDECAR_TOKEN: token })).toMatchObject({ code: 0, errors: '' });
    const refused = await run(believing, { TM_ADMIN_TOKEN: token });
    expect(refused).toMatchObject({ code: 1, out: '' });
    expect(refused.errors).toContain('UNAUTHENTICATED');
    expect(refused.errors).toContain('CREDENTIAL_REQUIRED');
    for (const args of [status, [...status, '--tls']])
      expect((await run([...args, '--token', token])).errors).toContain('UNAVAILABLE');
    expect(await run(['sidecar', 'status', '--sidecar', socket])).toMatchObject({ code: 0, errors: '' });
  });

  test('answers apps that show a certificate, by either channel, without a token', async () => {
    const { address } = await start({ TM_SIDECAR_TLS_CLIENT_CA: join(directory, 'ca.crt') });
    const shown = ['--tls-cert', join(directory, 'app.crt'), '--tls-key', join(directory, 'app.key')];
    const status = ['sidecar', 'status', '--sidecar', address, '--tls-ca', join(directory, 'ca.crt')];
    expect(await run([...status, ...shown])).toMatchObject({ code: 0, errors: '' });
    expect((await run(status)).errors).toContain('UNAVAILABLE');
    for (const channel of channelKinds) {
      const call = async (tls: TlsSettings): Promise<unknown> => {
        using client = createClient({ address, channel, tls });
        return await client.resolver.resolve({}).catch((error: unknown) => error);
      };
      const authorities = authority.certificate;
      expect(await call({ authorities, ...app })).toMatchObject({ code: 'INVALID_ARGUMENT' });
      expect(await call({ authorities })).toMatchObject({ code: 'UNAVAILABLE' });
    }
  });
});

test('a sidecar without what it needs for that does not start, and says in a line what is missing', async () => {
  const elsewhere = { ...settings, TM_SIDECAR_ADDRESS: '192.0.2.1:7401' };
  const { code, errors } = await runProcess('sidecar', elsewhere);
  expect(code).not.toBe(0);
  expect(errors).toContain('TM_SIDECAR_REMOTE=on needs TM_SIDECAR_TOKEN or TM_SIDECAR_TLS_CLIENT_CA');
  const other = await put('other.key', authority.issue().key);
  const mismatched = await runProcess('sidecar', { ...settings, TM_SIDECAR_TLS_KEY: other });
  expect(mismatched.code).not.toBe(0);
  expect(mismatched.errors).toContain(`TM_SIDECAR_TLS_KEY=${other} is not the key of`);
  for (const line of [errors, mismatched.errors]) expect(line.trim().split('\n')).toHaveLength(1);
});
