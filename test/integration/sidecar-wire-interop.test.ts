import { once } from 'node:events';
import { connect, constants } from 'node:http2';
import {
  type ClientUnaryCall,
  credentials,
  makeGenericClientConstructor,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestServer, testMethods } from '../support/sidecar-wire/test-server.ts';

const seen = { events: [] as string[], calls: [] };
let server: Awaited<ReturnType<typeof startTestServer>>;
let client: InstanceType<typeof EchoClient>;

const same = (bytes: Buffer): Buffer => bytes;
const method = (name: string, requestStream: boolean, responseStream: boolean) => ({
  path: `/test.Echo/${name}`,
  requestStream,
  responseStream,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
});
const EchoClient = makeGenericClientConstructor({}, 'test.Echo');

type Answer = { readonly message: Buffer; readonly trailers: Metadata };

/** One unary call of grpc-js. */
function unary(
  name: string,
  message: Buffer,
  { metadata = new Metadata(), timeoutMs }: { metadata?: Metadata; timeoutMs?: number } = {},
): { readonly call: ClientUnaryCall; readonly answer: Promise<Answer> } {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const options = timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
  let received: Buffer | undefined;
  const call = client.makeUnaryRequest(
    `/test.Echo/${name}`,
    same,
    same,
    message,
    metadata,
    options,
    (error: ServiceError | null, value?: Buffer) => {
      if (error !== null) reject(error);
      else received = value;
    },
  );
  call.on('status', ({ metadata: trailers }) => received && resolve({ message: received, trailers }));
  return { call, answer: promise };
}

beforeAll(async () => {
  server = await startTestServer({
    methods: testMethods(seen),
    // A message of 64 MiB while its answer waits.
    limits: { heldBytesMax: 160 * 1_048_576, heldBytesMaxOfAll: 160 * 1_048_576 },
  });
  client = new EchoClient(`127.0.0.1:${server.port}`, credentials.createInsecure(), {
    'grpc.max_receive_message_length': -1,
    'grpc.max_send_message_length': -1,
  });
});

afterAll(async () => {
  client.close();
  await server[Symbol.asyncDispose]();
});

it.each([0, 1, 5, 16_379, 16_380, 65_535, 1_048_576, 16 * 1_048_576, 64 * 1_048_576])(
  'a unary call of grpc-js carries %i bytes there and back',
  async (bytes) => {
    const message = Buffer.alloc(bytes, 0x61);
    const { message: echoed } = await unary('Unary', message).answer;
    expect(echoed.equals(message)).toBe(true);
  },
);

it('a message above the maximum is refused, and the connection goes on', async () => {
  await expect(unary('Unary', Buffer.alloc(64 * 1_048_576 + 1)).answer).rejects.toMatchObject({
    code: status.RESOURCE_EXHAUSTED,
  });
  expect((await unary('Unary', Buffer.from('on')).answer).message.toString()).toBe('on');
});

it('metadata and trailers go both ways, also binary ones', async () => {
  const metadata = new Metadata();
  metadata.set('x-text', 'some text');
  metadata.set('x-bytes-bin', Buffer.from([0, 1, 254, 255]));
  const { trailers } = await unary('Unary', Buffer.alloc(1), { metadata }).answer;
  expect(trailers.get('x-text')).toEqual(['some text']);
  expect(trailers.get('x-bytes-bin')).toEqual([Buffer.from([0, 1, 254, 255])]);
});

it('a status carries its message and details', async () => {
  const error = (await unary('Refused', Buffer.alloc(1)).answer.catch((cause: unknown) => cause)) as ServiceError;
  expect(error).toMatchObject({ code: status.FAILED_PRECONDITION, details: 'nö: 100 %' });
  expect(error.metadata.get('x-why-bin')).toEqual([Buffer.from([0, 255, 1])]);
});

it('an unknown method is UNIMPLEMENTED', async () => {
  await expect(unary('None', Buffer.alloc(1)).answer).rejects.toMatchObject({ code: status.UNIMPLEMENTED });
});

it('a deadline ends a call that is not answered, at the server too', async () => {
  seen.events.length = 0;
  await expect(unary('Never', Buffer.alloc(1), { timeoutMs: 50 }).answer).rejects.toMatchObject({
    code: status.DEADLINE_EXCEEDED,
  });
  await expect.poll(() => seen.events.length).toBe(1);
  expect(seen.events[0]).toMatch(/^Never (deadline|cancelled)$/);
});

it('a cancellation reaches the server', async () => {
  seen.events.length = 0;
  const { call, answer } = unary('Never', Buffer.alloc(1));
  const ended = answer.catch((error: unknown) => error);
  await expect.poll(() => seen.calls.length).toBeGreaterThan(1);
  call.cancel();
  expect(await ended).toMatchObject({ code: status.CANCELLED });
  await expect.poll(() => seen.events).toEqual(['Never cancelled']);
});

it('10,000 calls share a connection', async () => {
  const answers = await Promise.all(
    Array.from({ length: 10_000 }, (_none, index) => unary('Later', Buffer.from(String(index))).answer),
  );
  expect(answers.map(({ message }) => Number(message.toString()))).toEqual(Array.from(answers.keys()));
});

it('a server stream keeps its order', async () => {
  const { path } = method('ServerStream', false, true);
  const call = client.makeServerStreamRequest(path, same, same, Buffer.from([200, 7]), new Metadata());
  let count = 0;
  for await (const message of call) count += (message as Buffer)[1] === 7 ? 1 : 0;
  expect(count).toBe(200);
});

it('a client stream is counted, with messages larger than a window', async () => {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const call = client.makeClientStreamRequest(
    '/test.Echo/ClientStream',
    same,
    same,
    new Metadata(),
    (error: ServiceError | null, value?: Buffer) => (error === null ? resolve(String(value)) : reject(error)),
  );
  for (const bytes of [0, 1, 300_000, 5]) call.write(Buffer.alloc(bytes));
  call.end();
  expect(await promise).toBe('300006');
});

it('a bidirectional stream answers each message before the next is sent', async () => {
  const call = client.makeBidiStreamRequest('/test.Echo/Bidi', same, same, new Metadata());
  for (const text of ['one', 'two', 'x'.repeat(100_000)]) {
    call.write(Buffer.from(text));
    const [message] = (await once(call, 'data')) as [Buffer];
    expect(message.toString()).toBe(text);
  }
  call.end();
  const [ended] = (await once(call, 'status')) as [{ code: number }];
  expect(ended.code).toBe(status.OK);
});

it('node:http2 gets what a plain client should: 415 without gRPC, 405 without POST', async () => {
  const session = connect(`http://127.0.0.1:${server.port}`);
  const statusOf = async (headers: Record<string, string>): Promise<unknown> => {
    const stream = session.request(headers);
    stream.end();
    const [response] = (await once(stream, 'response')) as [Record<string, unknown>];
    stream.resume();
    return response[constants.HTTP2_HEADER_STATUS];
  };
  expect(await statusOf({ ':method': 'POST', ':path': '/test.Echo/Unary' })).toBe(415);
  expect(await statusOf({ ':path': '/' })).toBe(405);
  session.close();
  await once(session, 'close');
});

it('node:http2 sends and reads a call, with headers that its own compression made', async () => {
  const session = connect(`http://127.0.0.1:${server.port}`);
  for (let round = 0; round < 3; round++) {
    const stream = session.request({
      ':method': 'POST',
      ':path': '/test.Echo/Unary',
      'content-type': 'application/grpc+proto',
      te: 'trailers',
      'x-round': String(round),
      'x-long': 'ä'.repeat(3) + 'y'.repeat(500),
    });
    const trailers = once(stream, 'trailers');
    stream.end(Buffer.from([0, 0, 0, 0, 2, 0x68, 0x69]));
    const body: Buffer[] = [];
    for await (const chunk of stream) body.push(chunk as Buffer);
    expect(Buffer.concat(body)).toEqual(Buffer.from([0, 0, 0, 0, 2, 0x68, 0x69]));
    expect((await trailers)[0]).toMatchObject({ 'grpc-status': '0', 'x-round': String(round) });
  }
  session.close();
  await once(session, 'close');
});
