import { once } from 'node:events';
import { constants, createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2';
import { createConnection, type AddressInfo } from 'node:net';
import {
  Server,
  ServerCredentials,
  status,
  type sendUnaryData,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
} from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { WheelClock } from '../../sidecar/front/wheel-clock.ts';
import { CallError, GrpcClient } from '../../sidecar/wire/grpc/grpc-client.ts';
import type { CallResult } from '../../sidecar/wire/grpc/client-call.ts';
import { timeoutMsFrom } from '../../sidecar/wire/grpc/timeout.ts';
import { HeaderField } from '../../sidecar/wire/hpack/header-field.ts';
import { type WireLimits, wireLimits } from '../../sidecar/wire/limits.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { startTestServer, testMethods } from '../support/sidecar-wire/test-server.ts';

let owned = new AsyncDisposableStack();
afterEach(async () => {
  await owned.disposeAsync();
  owned = new AsyncDisposableStack();
});

/** Room for the largest messages of the tests, both ways. */
const roomy: WireLimits = { ...wireLimits, heldBytesMax: 160 * 1_048_576, heldBytesMaxOfAll: 160 * 1_048_576 };

function clientOf(port: number, limits = wireLimits): GrpcClient {
  const clock = owned.use(new WheelClock(systemClock));
  return owned.use(
    new GrpcClient({
      authority: `127.0.0.1:${port}`,
      isSecure: false,
      clock,
      schedule: (run) => void setImmediate(run),
      limits,
      messageBytesMax: 64 * 1_048_576,
      connect: () => createConnection({ host: '127.0.0.1', port, noDelay: true }),
    }),
  );
}

const same = (bytes: Buffer): Buffer => bytes;
const shape = { requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same };

/** grpc-js, with the same methods as our own test server as far as it needs them. */
async function startGrpcJs(): Promise<number> {
  const server = new Server({ 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 });
  const method = (name: string, requestStream: boolean, responseStream: boolean) => ({
    path: `/test.Echo/${name}`,
    requestStream,
    responseStream,
    ...shape,
  });
  server.addService(
    {
      unary: method('Unary', false, false),
      never: method('Never', false, false),
      refused: method('Refused', false, false),
      serverStream: method('ServerStream', false, true),
      clientStream: method('ClientStream', true, false),
      bidi: method('Bidi', true, true),
    },
    {
      unary: (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => answer(null, call.request),
      never: () => {},
      refused: (_call: unknown, answer: sendUnaryData<Buffer>) =>
        answer({ code: status.FAILED_PRECONDITION, details: 'nö: 100 %' }),
      serverStream: (call: ServerWritableStream<Buffer, Buffer>) => {
        for (let left = call.request[0] ?? 0; left > 0; left--) call.write(call.request);
        call.end();
      },
      clientStream: (call: ServerReadableStream<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => {
        let bytes = 0;
        call.on('data', (message: Buffer) => void (bytes += message.length));
        call.on('end', () => answer(null, Buffer.from(String(bytes))));
      },
      bidi: (call: NodeJS.ReadWriteStream) => void call.pipe(call),
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  owned.defer(() => server.forceShutdown());
  return port;
}

const servers: readonly (readonly [string, () => Promise<number>])[] = [
  ['grpc-js', startGrpcJs],
  ['the engine', async () => owned.use(await startTestServer({ methods: testMethods(), limits: roomy })).port],
];

describe.each(servers)('the light client and a server of %s', (_name, start) => {
  it.each([0, 1, 65_536, 16 * 1_048_576, 64 * 1_048_576])('carries %i bytes there and back', async (bytes) => {
    const client = clientOf(await start(), roomy);
    const message = Buffer.alloc(bytes, 0x61);
    expect((await client.unary('/test.Echo/Unary', message)).equals(message)).toBe(true);
  });

  it('makes 5,000 calls at a time', async () => {
    const client = clientOf(await start());
    const answers = await Promise.all(
      Array.from({ length: 5_000 }, (_none, index) => client.unary('/test.Echo/Unary', Buffer.from(String(index)))),
    );
    expect(answers.map(String)).toEqual(Array.from({ length: 5_000 }, (_none, index) => String(index)));
  });

  it('tells a refusal with its text', async () => {
    const client = clientOf(await start());
    await expect(client.unary('/test.Echo/Refused', Buffer.alloc(1))).rejects.toMatchObject({
      status: { code: status.FAILED_PRECONDITION, message: 'nö: 100 %' },
    });
  });

  it('tells that a method is unknown', async () => {
    const client = clientOf(await start());
    await expect(client.unary('/test.Echo/None', Buffer.alloc(1))).rejects.toMatchObject({
      status: { code: status.UNIMPLEMENTED },
    });
  });

  it('ends a call at its deadline, or when it is cancelled', async () => {
    const client = clientOf(await start());
    await expect(client.unary('/test.Echo/Never', Buffer.alloc(1), { timeoutMs: 50 })).rejects.toMatchObject({
      status: { code: status.DEADLINE_EXCEEDED },
    });
    const aborted = new AbortController();
    const call = client.unary('/test.Echo/Never', Buffer.alloc(1), { signal: aborted.signal });
    aborted.abort();
    await expect(call).rejects.toMatchObject({ status: { code: status.CANCELLED } });
    // The connection goes on.
    expect(String(await client.unary('/test.Echo/Unary', Buffer.from('on')))).toBe('on');
  });

  it.each([
    ['a server stream', 'ServerStream', [Buffer.from([200, 7])], Array.from({ length: 200 }, () => '\u00C8\u0007')],
    ['a client stream', 'ClientStream', [0, 1, 300_000, 5].map((bytes) => Buffer.alloc(bytes)), ['300006']],
  ])('makes the call of %s', async (_what, method, requests, expected) => {
    const client = clientOf(await start());
    const messages: string[] = [];
    const { status: ended } = await new Promise<CallResult>((resolve) => {
      const message = (bytes: Buffer): void => void messages.push(bytes.toString('latin1'));
      const call = client.start(`/test.Echo/${method}`, { message, ended: resolve, drained: () => {} });
      for (const request of requests) call.send(request);
      call.finish();
    });
    expect([ended.code, messages]).toEqual([status.OK, expected]);
  });

  it('keeps the order of a bidirectional stream', async () => {
    const client = clientOf(await start());
    const messages: string[] = [];
    const result = await new Promise<CallResult>((resolve) => {
      const call = client.start('/test.Echo/Bidi', {
        message: (bytes) => {
          messages.push(bytes.toString());
          if (messages.length === 100) call.finish();
        },
        ended: resolve,
        drained: () => {},
      });
      for (let index = 0; index < 100; index++) call.send(Buffer.from(`n${index}`));
    });
    expect(messages).toEqual(Array.from({ length: 100 }, (_none, index) => `n${index}`));
    expect(result.status.code).toBe(status.OK);
  });
});

it('brings trailers back, also those of a refusal', async () => {
  const client = clientOf(await servers[1]![1]());
  const fields = [new HeaderField('x-some', 'value')];
  const failed = await client.unary('/test.Echo/Refused', Buffer.alloc(1), { fields }).catch((error: unknown) => error);
  expect(failed).toBeInstanceOf(CallError);
  expect((failed as CallError).result.trailers?.get('x-why-bin')).toBe(Buffer.from([0, 255, 1]).toString('base64'));
});

it('is UNAVAILABLE where nobody listens, and calls again when somebody does', async () => {
  const { port, server } = await startTestServer({ methods: testMethods() });
  const client = clientOf(port);
  await client.unary('/test.Echo/Unary', Buffer.from('before'));
  server.close();
  await server.drain();
  await expect(client.unary('/test.Echo/Unary', Buffer.alloc(1))).rejects.toMatchObject({
    status: { code: status.UNAVAILABLE },
  });
  await server.listen({ host: '127.0.0.1', port });
  owned.defer(() => server.close());
  expect(String(await client.unary('/test.Echo/Unary', Buffer.from('after')))).toBe('after');
});

it('goes to another connection when the server drains the one it has, without losing a call', async () => {
  const { port, server } = owned.use(await startTestServer({ methods: testMethods() }));
  const client = clientOf(port);
  const first = Promise.all(Array.from({ length: 50 }, () => client.unary('/test.Echo/Later', Buffer.from('x'))));
  await client.unary('/test.Echo/Unary', Buffer.alloc(1));
  expect(server.connectionCount).toBe(1);
  server.drainConnections();
  expect(await first).toHaveLength(50);
  await expect.poll(() => server.connectionCount).toBe(0);
  expect(String(await client.unary('/test.Echo/Unary', Buffer.from('on')))).toBe('on');
});

it('goes on when both sides have more for each other than sockets and windows hold', async () => {
  const { port } = owned.use(await startTestServer({ methods: testMethods() }));
  const client = clientOf(port);
  // 32 MB each way.
  const streams = Array.from({ length: 64 }, () => {
    let bytes = 0;
    const { promise, resolve } = Promise.withResolvers<number>();
    const call = client.start('/test.Echo/Bidi', {
      message: (message) => void (bytes += message.length),
      ended: () => resolve(bytes),
      drained: () => {},
    });
    for (let sent = 0; sent < 10; sent++) call.send(Buffer.alloc(50_000));
    call.finish();
    return promise;
  });
  expect(await Promise.all(streams)).toEqual(streams.map(() => 500_000));
});

it('says what plain HTTP answered', async () => {
  const server = createHttp2Server();
  server.on('stream', (stream: ServerHttp2Stream) => {
    stream.respond({ ':status': 503 });
    stream.end('no');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  owned.defer(() => void server.close());
  const client = clientOf((server.address() as AddressInfo).port);
  await expect(client.unary('/test.Echo/Unary', Buffer.alloc(1))).rejects.toMatchObject({
    status: { code: status.UNAVAILABLE, message: 'HTTP 503 instead of an answer of gRPC' },
  });
  client[Symbol.dispose]();
});

/** Refuses the first streams without looking at them, and answers the others; with what it was given. */
async function startRefusing(refusals: number): Promise<{ readonly port: number; readonly seen: string[] }> {
  const seen: string[] = [];
  const server = createHttp2Server();
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.on('error', () => {});
    if (seen.push(String(headers['grpc-timeout'])) <= refusals) return stream.close(constants.NGHTTP2_REFUSED_STREAM);
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(Buffer.from([0, 0, 0, 0, 2, 0x6f, 0x6b]));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  owned.defer(() => void server.close());
  return { port: (server.address() as AddressInfo).port, seen };
}

it('makes a call again that the server has not looked at, once, with what is left of its time', async () => {
  const once = await startRefusing(1);
  const client = clientOf(once.port);
  expect(String(await client.unary('/test.Echo/Unary', Buffer.from('x'), { timeoutMs: 50_000 }))).toBe('ok');
  const [first = '', second = ''] = once.seen;
  expect(first).toBe('50000000u');
  expect(timeoutMsFrom(second)).toBeLessThan(50_000);
  client[Symbol.dispose]();
  const twice = await startRefusing(2);
  const other = clientOf(twice.port);
  await expect(other.unary('/test.Echo/Unary', Buffer.from('x'))).rejects.toMatchObject({ code: status.UNAVAILABLE });
  expect(twice.seen).toHaveLength(2);
  other[Symbol.dispose]();
});

it('takes no more from the server than a window while the reader of a stream pauses', async () => {
  const { port } = owned.use(await startTestServer({ methods: testMethods() }));
  const client = clientOf(port);
  let received = 0;
  const ended = Promise.withResolvers<CallResult>();
  const call = client.start('/test.Echo/ServerStream', {
    message: (bytes) => {
      received += bytes.length;
      call.pause();
    },
    ended: ended.resolve,
    drained: () => {},
  });
  // 200 times 10,000 bytes.
  call.send(Buffer.concat([Buffer.from([200]), Buffer.alloc(9_999)]), true);
  await expect.poll(() => received).toBeGreaterThan(0);
  // Others on the connection go on, and by their answers all that may come has come.
  for (let turn = 0; turn < 20; turn++) await client.unary('/test.Echo/Unary', Buffer.alloc(1));
  expect(received).toBeLessThanOrEqual(wireLimits.streamWindowBytes);
  const reading = setInterval(() => call.resume(), 1);
  expect((await ended.promise).status.code).toBe(status.OK);
  clearInterval(reading);
  expect(received).toBe(2_000_000);
});
