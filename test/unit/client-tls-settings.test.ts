import { expect, test } from 'vitest';
import { channelKinds } from '../../src/client/channel.ts';
import { createTransport, TrafficManagerError, type TlsSettings } from '../../src/client/index.ts';
import { TestAuthority } from '../support/certificates.ts';

const authority = new TestAuthority();
const { certificate, key } = authority.issue();

test.each<[string, TlsSettings]>([
  ['a certificate without its key', { certificate }],
  ['a key without its certificate', { key }],
  ['the key of another certificate', { certificate, key: authority.issue().key }],
  ['a certificate that is none', { certificate: 'no PEM', key }],
  ['a key that is none', { certificate, key: 'no PEM' }],
])('%s is refused before anything is sent, over any channel', (_name, tls) => {
  for (const channel of channelKinds) {
    const create = (): unknown => createTransport({ address: '127.0.0.1:1', channel, tls });
    expect(create).toThrow(TrafficManagerError);
    expect(create).toThrow(
      expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        fieldViolations: [{ field: 'tls', description: expect.any(String) as string }],
      }),
    );
  }
});

test.each<[string, TlsSettings]>([
  ['nothing at all', {}],
  ['authorities alone', { authorities: authority.certificate }],
  ['a certificate with its key', { certificate, key }],
])('%s is taken', (_name, tls) => {
  expect(() => createTransport({ address: '127.0.0.1:1', tls }).close()).not.toThrow();
});
