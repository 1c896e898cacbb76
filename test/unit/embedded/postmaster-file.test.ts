import { expect, test } from 'vitest';
import { parsePostmasterFile } from '../../../deploy/embedded/postmaster-file.ts';

test('a postmaster.pid tells pid, port and whether the server is ready', () => {
  const lines = ['4711', '/data', '1770000000', '45123', '', '127.0.0.1', '  1234567    7'];
  expect(parsePostmasterFile([...lines, 'ready   ', ''].join('\n'))).toEqual({ pid: 4711, port: 45_123, ready: true });
  expect(parsePostmasterFile([...lines, 'starting', ''].join('\n'))).toEqual({ pid: 4711, port: 45_123, ready: false });
});

test('one that is still being written is not ready', () => {
  expect(parsePostmasterFile('4711\n/data\n')).toEqual({ pid: 4711, port: undefined, ready: false });
  expect(parsePostmasterFile('')).toMatchObject({ ready: false });
});
