import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readRemoteAccess, readTlsIdentity, type TlsFiles } from '../../../sidecar/remote-access.ts';
import { Environment, SettingError } from '../../../src/platform/environment.ts';
import { TestAuthority } from '../../support/certificates.ts';
import { makeSocketDirectory } from '../../support/sidecar.ts';

const token = 'sixteen-or-more!';
const files = { TM_SIDECAR_TLS_CERT: '/tls.crt', TM_SIDECAR_TLS_KEY: '/tls.key' };
const clientCa = { TM_SIDECAR_TLS_CLIENT_CA: '/ca.crt' };
const remote = { TM_SIDECAR_ADDRESS: '10.0.0.7:7401', TM_SIDECAR_REMOTE: 'on' };

function read(variables: NodeJS.ProcessEnv) {
  return readRemoteAccess(new Environment(variables));
}

test.each<[string, NodeJS.ProcessEnv]>([
  ['with TLS and a token', { ...remote, ...files, TM_SIDECAR_TOKEN: token }],
  ['with TLS and certificates of clients', { ...remote, ...files, ...clientCa }],
  ['with all of them', { ...remote, ...files, ...clientCa, TM_SIDECAR_TOKEN: token }],
])('it listens elsewhere than on loopback %s', (_name, variables) => {
  expect(read(variables)).toMatchObject({
    address: '10.0.0.7:7401',
    tls: { certificate: '/tls.crt', key: '/tls.key' },
  });
});

test.each<[string, NodeJS.ProcessEnv]>([
  ['TLS', files],
  ['a token', { TM_SIDECAR_TOKEN: token }],
  ['certificates of clients', { ...files, ...clientCa }],
  ['leave to listen elsewhere', { TM_SIDECAR_REMOTE: 'on' }],
])('on loopback it may have %s', (_name, variables) => {
  expect(read(variables).address).toBe('127.0.0.1:7401');
});

describe('what does not guard the sidecar, or nothing at all, is refused in one line that names what is missing', () => {
  test.each<[string, NodeJS.ProcessEnv, readonly string[]]>([
    [
      'no leave',
      { ...remote, TM_SIDECAR_REMOTE: undefined, ...files, TM_SIDECAR_TOKEN: token },
      ['TM_SIDECAR_REMOTE=on'],
    ],
    ['leave denied', { ...remote, TM_SIDECAR_REMOTE: 'off', ...files, ...clientCa }, ['TM_SIDECAR_REMOTE=on']],
    ['leave that is none', { ...remote, TM_SIDECAR_REMOTE: 'yes' }, ['TM_SIDECAR_REMOTE=yes']],
    ['no credentials', remote, ['TM_SIDECAR_TLS_CERT', 'TM_SIDECAR_TLS_KEY']],
    [
      'a token in plain text',
      { ...remote, TM_SIDECAR_TOKEN: token },
      ['TM_SIDECAR_TLS_CERT', 'TM_SIDECAR_TOKEN', 'plain text'],
    ],
    ['TLS that lets everybody in', { ...remote, ...files }, ['TM_SIDECAR_TOKEN', 'TM_SIDECAR_TLS_CLIENT_CA']],
    ['a certificate without its key', { TM_SIDECAR_TLS_CERT: '/tls.crt' }, ['TM_SIDECAR_TLS_KEY']],
    ['a key without its certificate', { TM_SIDECAR_TLS_KEY: '/tls.key' }, ['TM_SIDECAR_TLS_CERT']],
    ['authorities without TLS', clientCa, ['TM_SIDECAR_TLS_CLIENT_CA', 'TM_SIDECAR_TLS_CERT']],
    ['a short token', { TM_SIDECAR_TOKEN: 'fifteen-letters' }, ['TM_SIDECAR_TOKEN', '16']],
    ['a token with a space', { TM_SIDECAR_TOKEN: 'sixteen or more letters' }, ['TM_SIDECAR_TOKEN']],
    ['a token for a socket alone', { TM_SIDECAR_ADDRESS: 'off', TM_SIDECAR_TOKEN: token }, ['TM_SIDECAR_TOKEN']],
    ['TLS for a socket alone', { TM_SIDECAR_ADDRESS: 'off', ...files }, ['TM_SIDECAR_TLS_CERT', 'TM_SIDECAR_TLS_KEY']],
  ])('%s', (_name, variables, named) => {
    const line = messageOf(() => read(variables));
    for (const name of named) expect(line).toContain(name);
    for (const secret of [token, 'fifteen-letters', 'sixteen or more']) expect(line).not.toContain(secret);
    expect(line).not.toContain('\n');
  });
});

describe('the files of TLS', () => {
  const authority = new TestAuthority();
  const issued = authority.issue();
  let directory: Awaited<ReturnType<typeof makeSocketDirectory>>;
  let good: TlsFiles;

  beforeEach(async () => {
    directory = await makeSocketDirectory();
    good = {
      certificate: await put('tls.crt', issued.certificate),
      key: await put('tls.key', issued.key),
      clientAuthorities: await put('ca.crt', authority.certificate),
    };
  });
  afterEach(async () => await directory[Symbol.asyncDispose]());

  async function put(name: string, text: string): Promise<string> {
    const path = join(directory.path, name);
    await writeFile(path, text);
    return path;
  }

  async function refusal(wrong: Partial<TlsFiles>): Promise<string> {
    const error: unknown = await readTlsIdentity({ ...good, ...wrong }).catch((thrown: unknown) => thrown);
    return messageOf(() => {
      throw error;
    });
  }

  test('are read as they are', async () => {
    const { certificate, key, clientAuthorities } = await readTlsIdentity(good);
    expect([certificate, key, clientAuthorities].map(String)).toEqual([
      issued.certificate,
      issued.key,
      authority.certificate,
    ]);
    const alone = await readTlsIdentity({ ...good, clientAuthorities: undefined });
    expect(alone.clientAuthorities).toBeUndefined();
  });

  test('may hold more certificates than one', async () => {
    const chain = await put('chain.crt', issued.certificate + authority.certificate);
    expect(String((await readTlsIdentity({ ...good, certificate: chain })).certificate)).toContain(
      authority.certificate,
    );
  });

  test.each<[keyof TlsFiles, string]>([
    ['certificate', 'TM_SIDECAR_TLS_CERT'],
    ['key', 'TM_SIDECAR_TLS_KEY'],
    ['clientAuthorities', 'TM_SIDECAR_TLS_CLIENT_CA'],
  ])('are refused by name when they cannot be read, or are none: %s', async (file, variable) => {
    const missing = join(directory.path, 'missing');
    expect(await refusal({ [file]: missing })).toBe(`${variable}=${missing} cannot be read: ENOENT`);
    for (const [name, text] of [
      ['empty', ''],
      ['text', 'no PEM'],
    ] as const) {
      const path = await put(name, text);
      expect(await refusal({ [file]: path })).toMatch(
        new RegExp(`^${variable}=${path} is no (certificate|key) in PEM`),
      );
    }
  });

  test('are refused when the key is of another certificate, or has a passphrase', async () => {
    const key = await put('other.key', authority.issue().key);
    expect(await refusal({ key })).toMatch(/^TM_SIDECAR_TLS_KEY=.* is not the key of .* TM_SIDECAR_TLS_CERT=/);
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    const options = { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'a phrase' } as const;
    const locked = await put('locked.key', privateKey.export(options).toString());
    expect(await refusal({ key: locked })).toMatch(/^TM_SIDECAR_TLS_KEY=.* without a passphrase$/);
  });
});

function messageOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof SettingError) return error.message;
    throw error;
  }
  throw new Error('it was taken');
}
