import { createServer, type ServerHttp2Stream } from 'node:http2';
import { createConnection, type AddressInfo } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WheelClock } from '../../sidecar/front/wheel-clock.ts';
import { GrpcClient } from '../../sidecar/wire/grpc/grpc-client.ts';
import type { ServerCall } from '../../sidecar/wire/grpc/server-call.ts';
import { streamBytes, wireLimits, type WireLimits } from '../../sidecar/wire/limits.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { FrontCaller, framesOf } from '../support/sidecar-wire/front-caller.ts';
import { messageOf, pseudoOf, usualFields } from '../support/sidecar-wire/spoken-calls.ts';
import { startTestServer } from '../support/sidecar-wire/test-server.ts';

const count = 10_000;
const path = '/test.Gate/Held';
const same = (bytes: Buffer): Buffer => bytes;
const texts = (amount: number): string[] => Array.from({ length: amount }, (_none, index) => String(index));

type Caller = (port: number) => (text: string) => Promise<string>;

let owned: AsyncDisposableStack;
/** Calls that the server has, with what they said; none is answered before the test does. */
let held: { readonly call: ServerCall; readonly text: string }[];

beforeEach(() => {
  owned = new AsyncDisposableStack();
  held = [];
});
afterEach(async () => await owned.disposeAsync());

async function startGate(limits: Partial<WireLimits> = {}) {
  const handle = (request: Buffer, call: ServerCall): void => void held.push({ call, text: request.toString() });
  return owned.use(await startTestServer({ methods: new Map([[path, { requests: 'one', handle }]]), limits }));
}

/** The last first: no answer depends on the one before. */
function answerAll(): void {
  for (const { call, text } of held.splice(0).toReversed()) call.answer(Buffer.from(text));
}

function ours(limits: Partial<WireLimits>): Caller {
  return (port) => {
    const clock = owned.use(new WheelClock(systemClock));
    const client = owned.use(
      new GrpcClient({
        authority: 'gate',
        isSecure: false,
        clock,
        schedule: (run) => void setImmediate(run),
        limits: { ...wireLimits, ...limits },
        messageBytesMax: 1_000,
        connect: () => createConnection({ host: '127.0.0.1', port, noDelay: true }),
      }),
    );
    return async (text) => String(await client.unary(path, Buffer.from(text)));
  };
}

const grpcJs: Caller = (port) => {
  const client = owned.adopt(new Client(`127.0.0.1:${port}`, credentials.createInsecure()), (each) => each.close());
  return (text) =>
    new Promise((resolve, reject) => {
      const ended = (error: ServiceError | null, value?: Buffer): void =>
        error === null ? resolve(String(value)) : reject(error);
      client.makeUnaryRequest(path, same, same, Buffer.from(text), ended);
    });
};

describe.each([
  ['our client', ours({ connectionsMax: 1 })],
  ['grpc-js', grpcJs],
])('calls of %s that are under way at the same time', (_name, caller) => {
  it('are 10,000 of one connection, and each is answered', async () => {
    const { port, server } = await startGate();
    const call = caller(port);
    const answers = Promise.all(texts(count).map(call));
    await expect.poll(() => held.length, { timeout: 30_000 }).toBe(count);
    expect(server.connectionCount).toBe(1);
    answerAll();
    expect(await answers).toEqual(texts(count));
  });

  it('wait for a stream where they are more than the server takes, and none is lost', async () => {
    const { port, server } = await startGate({ streamsMax: 100 });
    const call = caller(port);
    const answers = Promise.all(texts(1_000).map(call));
    let heldMost = 0;
    let isDone = false;
    void answers.then(() => (isDone = true));
    while (!isDone) {
      await new Promise((resolve) => void setImmediate(resolve));
      heldMost = Math.max(heldMost, held.length);
      // The server is full, or the last of them are there.
      if (held.length === 100) answerAll();
    }
    expect(await answers).toEqual(texts(1_000));
    expect([heldMost, server.connectionCount]).toEqual([100, 1]);
  });
});

/** Requests of one connection, from one that looks at no limit. */
async function open(port: number, from: number, to: number, caller?: FrontCaller): Promise<FrontCaller> {
  const peer = caller ?? owned.use(await FrontCaller.open(`:${port}`));
  const fields = [...pseudoOf(path), ...usualFields];
  for (let index = from; index < to; index += 100) {
    const some = Array.from({ length: Math.min(100, to - index) }, (_none, more) => index + more);
    await peer.write([
      Buffer.concat(
        some.flatMap((each) => framesOf(1 + 2 * each, { fields, body: [messageOf(`${each}`)], end: 'data' })),
      ),
    ]);
  }
  expect(await peer.isAlive()).toBe(true);
  return peer;
}

it('refuses what a client opens beyond that, and answers the rest', async () => {
  const { port } = await startGate();
  const peer = await open(port, 0, count + 200);
  expect(held).toHaveLength(count);
  for (const index of [count, count + 199]) expect((await peer.heard(1 + 2 * index)).reset).toBe('REFUSED_STREAM');
  answerAll();
  for (const index of [0, 4_711, count - 1])
    expect(await peer.heard(1 + 2 * index)).toMatchObject({ body: messageOf(`${index}`).toString('hex') });
  // There is room again.
  await open(port, count + 200, count + 201, peer);
  expect(held).toHaveLength(1);
  answerAll();
  expect((await peer.heard(1 + 2 * (count + 200))).reset).toBeUndefined();
});

it('holds 50,000 of one connection where it may, and none takes more than it is counted for', async () => {
  const { port } = await startGate({ streamsMax: 50_000 });
  const before = usedBytes();
  // From a process of its own it would be less: what the peer has sent and keeps is counted here.
  const peer = await open(port, 0, 50_000);
  expect(held).toHaveLength(50_000);
  expect((usedBytes() - before) / 50_000).toBeLessThan(streamBytes);
  answerAll();
  expect((await peer.heard(1)).body).toBe(messageOf('0').toString('hex'));
  expect((await peer.heard(99_999)).body).toBe(messageOf('49999').toString('hex'));
});

function usedBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

it('holds 10,000 calls of its own open on a connection to a server of node:http2, and hears the answer to each', async () => {
  const streams: ServerHttp2Stream[] = [];
  const sessions = new Set<unknown>();
  const server = createServer({ settings: { maxConcurrentStreams: count } });
  server.on('session', (session) => sessions.add(session));
  server.on('stream', (stream) => streams.push(stream));
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  owned.defer(() => void server.close());
  const call = ours({ connectionsMax: 1 })((server.address() as AddressInfo).port);
  // The first ones go out before the server has said how many it takes.
  const answers = Promise.all(texts(count).map(call));
  await expect.poll(() => streams.length, { timeout: 30_000 }).toBe(count);
  expect(sessions.size).toBe(1);
  for (const stream of streams.toReversed()) void answer(stream);
  expect(await answers).toEqual(texts(count));
});

async function answer(stream: ServerHttp2Stream): Promise<void> {
  const pieces: Buffer[] = [];
  for await (const piece of stream) pieces.push(piece as Buffer);
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.end(Buffer.concat(pieces));
}
