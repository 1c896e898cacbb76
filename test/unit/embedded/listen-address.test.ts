import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import {
  dialAddress,
  findFreePort,
  formatListenAddress,
  parseListenAddress,
  requireFreeAddress,
} from '../../../deploy/embedded/listen-address.ts';

test('addresses are read and written, IPv6 in brackets', () => {
  expect(parseListenAddress('127.0.0.1:7400', 'X')).toEqual({ host: '127.0.0.1', port: 7400 });
  expect(parseListenAddress('[::1]:7400', 'X')).toEqual({ host: '::1', port: 7400 });
  expect(formatListenAddress({ host: '::1', port: 7400 })).toBe('[::1]:7400');
  for (const text of ['', '7400', ':7400', 'host:', 'host:0', 'host:65536', '::1:7400', 'a:b:1']) {
    expect(() => parseListenAddress(text, 'TM_X')).toThrow(`TM_X=${text} is no address`);
  }
});

test('what listens on every interface is called on loopback', () => {
  expect(dialAddress({ host: '0.0.0.0', port: 1 })).toEqual({ host: '127.0.0.1', port: 1 });
  expect(dialAddress({ host: '::', port: 1 })).toEqual({ host: '::1', port: 1 });
  expect(dialAddress({ host: '10.0.0.1', port: 1 })).toEqual({ host: '10.0.0.1', port: 1 });
});

test('an address that is taken is refused with the setting that moves it', async () => {
  const port = await findFreePort();
  await requireFreeAddress({ host: '127.0.0.1', port }, 'TM_X');
  const other = createServer().listen({ host: '127.0.0.1', port });
  await once(other, 'listening');
  await expect(requireFreeAddress({ host: '127.0.0.1', port }, 'TM_X')).rejects.toThrow(
    `127.0.0.1:${port} is in use; stop what listens there or set TM_X`,
  );
  other.close();
  await once(other, 'close');
  await expect(requireFreeAddress({ host: '192.0.2.1', port }, 'TM_X')).rejects.toThrow(/EADDRNOTAVAIL.*TM_X/);
});
