import { createServer, type Http2Server, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { MethodDefinition } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ChannelKind } from '../../src/client/channel.ts';
import { TrafficManagerError } from '../../src/client/traffic-manager-error.ts';
import { createTransport, type Transport } from '../../src/client/transport.ts';

const same = (bytes: Buffer): Buffer => bytes;
const method: MethodDefinition<Buffer, Buffer> = {
  path: '/test.Any/Any',
  requestStream: false,
  responseStream: false,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
};
const message = Buffer.from([0, 0, 0, 0, 1, 0x61]);

/** What a client says in the headers of its calls, and what it makes of answers that are none; seen by a server of HTTP/2 only. */
export function describeClientHeaders(channel: ChannelKind): void {
  describe(`the headers of a client over ${channel}`, () => {
    let server: Http2Server;
    let transport: Transport;
    let seen: IncomingHttpHeaders | undefined;
    let answer: Buffer;

    beforeEach(async () => {
      answer = message;
      seen = undefined;
      server = createServer();
      server.on('stream', (stream: ServerHttp2Stream, headers) => {
        seen = headers;
        stream.on('error', () => {});
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
        stream.end(answer);
      });
      await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
      const { port } = server.address() as AddressInfo;
      transport = createTransport({ address: `127.0.0.1:${port}`, channel });
    });

    afterEach(() => {
      transport.close();
      server.close();
    });

    const call = (metadata: Record<string, string> = {}, timeoutMs = 60_000): Promise<Buffer> =>
      transport.unary(method, message, { metadata, timeoutMs });

    test('they say what it is', async () => {
      await call();
      expect(seen?.['user-agent']).toMatch(/^grpc-node-traffic-manager\/\d/);
    });

    test.each([
      ['te', 'gzip'],
      ['content-type', 'text/html'],
      ['user-agent', 'Mozilla'],
      ['grpc-timeout', '1n'],
      ['grpc-encoding', 'gzip'],
      ['grpc-accept-encoding', 'br'],
      ['content-length', '7'],
    ])('%s is its own to say, whatever a caller says', async (name, value) => {
      await call();
      const own = seen?.[name];
      await call({ [name]: value });
      expect(seen?.[name]).not.toBe(value);
      // What is left of the time may be a millisecond less.
      if (name !== 'grpc-timeout') expect(seen?.[name]).toBe(own);
    });

    test.each([
      ':path',
      ':authority',
      'connection',
      'proxy-connection',
      'keep-alive',
      'transfer-encoding',
      'upgrade',
      'host',
    ])('%s, which HTTP/2 gives no caller, is refused before anything is sent', async (name) => {
      await expect(call({ [name]: 'x' })).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        fieldViolations: [{ field: name }],
      });
      expect(seen).toBeUndefined();
    });

    test.each([
      { metadata: { 'x-any': ' a' } },
      { metadata: { 'x-any': 'a ' } },
      { actor: ' ' },
      { token: '' },
      { correlationId: 'a\u007f' },
    ])('%j, which a server ends a call for, is refused before anything is sent', async (options) => {
      await expect(transport.unary(method, message, options)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      expect(seen).toBeUndefined();
    });

    test('a value that is no text is refused, and costs the calls after it nothing', async () => {
      const number: unknown = 5;
      await call();
      await expect(call({ 'x-any': number as string })).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        fieldViolations: [{ field: 'x-any' }],
      });
      await expect(call({ 'x-any': 'a b' })).resolves.toEqual(Buffer.from('a'));
      expect(seen?.['x-any']).toBe('a b');
    });

    test('two messages are no answer to a call that has one', async () => {
      answer = Buffer.concat([message, message]);
      // grpc-js lets such a call wait for its deadline.
      await expect(call({}, 300)).rejects.toBeInstanceOf(TrafficManagerError);
    });
  });
}
