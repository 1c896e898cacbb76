import { Command } from 'commander';
import { expect, test } from 'vitest';
import { addTlsOptions, tlsSettings } from '../../src/cli/tls-options.ts';

const self = new URL(import.meta.url).pathname;

function settingsOf(...args: readonly string[]) {
  const program = new Command().exitOverride().configureOutput({ writeErr: () => {} });
  addTlsOptions(program);
  return tlsSettings(program.parse(args, { from: 'user' }));
}

test('nothing said: plain text', () => {
  expect(settingsOf()).toBeUndefined();
});

test.each([
  [['--tls'], {}],
  [['--tls-ca', self], { authorities: expect.any(Buffer) as Buffer }],
  [['--tls-cert', self], { certificate: expect.any(Buffer) as Buffer }],
  [['--tls-key', self], { key: expect.any(Buffer) as Buffer }],
  [['--tls-server-name', 'sidecar.example'], { serverName: 'sidecar.example' }],
])('%s means TLS', (args, settings) => {
  expect(settingsOf(...args)).toEqual(settings);
});

test.each(['--tls-ca', '--tls-cert', '--tls-key'])(
  '%s with a file that cannot be read is a wrong command line',
  (name) => {
    expect(() => settingsOf(name, '/missing.pem')).toThrow(/missing\.pem.*It cannot be read: ENOENT/);
  },
);
