import { expect, it } from 'vitest';
import { errorNameOf } from '../../../sidecar/wire/error-code.ts';
import { clientPreface, frameFlags, frameTypes } from '../../../sidecar/wire/frame.ts';
import type { ClientCall } from '../../../sidecar/wire/grpc/client-call.ts';
import { GrpcClient } from '../../../sidecar/wire/grpc/grpc-client.ts';
import { statusCodes } from '../../../sidecar/wire/grpc/status-code.ts';
import { type WireLimits, wireLimits } from '../../../sidecar/wire/limits.ts';
import { FakeAlarmClock } from '../../fakes/fake-alarm-clock.ts';
import {
  frame,
  FrameSplitter,
  plainBlock,
  type ReadFrame,
  settingsPayload,
  uint32,
} from '../../support/sidecar-wire/frames.ts';
import { MemorySocket } from '../../support/sidecar-wire/memory-socket.ts';

const { DATA, HEADERS, RST_STREAM, SETTINGS } = frameTypes;
const { END_HEADERS, END_STREAM } = frameFlags;
const response = plainBlock([
  [':status', '200'],
  ['content-type', 'application/grpc'],
]);
const trailers = plainBlock([['grpc-status', '0']]);

/** One call on a connection whose server says what the test says. */
function startCall(limits: WireLimits = wireLimits): {
  readonly client: GrpcClient;
  readonly call: ClientCall;
  readonly heard: string[];
  readonly receive: (...frames: readonly Buffer[]) => void;
  readonly frames: () => readonly ReadFrame[];
} {
  const socket = new MemorySocket();
  const scheduled: (() => void)[] = [];
  const client = new GrpcClient({
    authority: 'peer',
    isSecure: false,
    clock: new FakeAlarmClock(),
    schedule: (run) => void scheduled.push(run),
    limits,
    messageBytesMax: 1_000,
    connect: () => socket.asDuplex(),
  });
  const heard: string[] = [];
  const call = client.start('/test.Echo/Any', {
    message: (bytes) => void heard.push(`message of ${bytes.length}`),
    ended: ({ status }) => void heard.push(`ended ${status.code}`),
    drained: () => void heard.push('drained'),
  });
  socket.receive(frame(SETTINGS, 0, 0));
  return {
    client,
    call,
    heard,
    receive: (...frames) => socket.receive(Buffer.concat(frames)),
    frames: () => {
      for (const run of scheduled.splice(0)) run();
      const splitter = new FrameSplitter();
      splitter.push(Buffer.concat(socket.written).subarray(clientPreface.length));
      return splitter.frames;
    },
  };
}

function resetOf(frames: readonly ReadFrame[]): string | undefined {
  const reset = frames.find(({ type }) => type === RST_STREAM);
  return reset && errorNameOf(reset.payload.readUInt32BE());
}

it.each([
  [
    'an informational one that ends the stream',
    [frame(HEADERS, END_HEADERS | END_STREAM, 1, plainBlock([[':status', '100']]))],
  ],
  ['a body without a header list', [frame(DATA, 0, 1, 'body')]],
  [
    'a body after an informational one',
    [frame(HEADERS, END_HEADERS, 1, plainBlock([[':status', '100']])), frame(DATA, 0, 1, 'body')],
  ],
  ['two header lists', [frame(HEADERS, END_HEADERS, 1, response), frame(HEADERS, END_HEADERS, 1, response)]],
  ['trailers that do not end it', [frame(HEADERS, END_HEADERS, 1, response), frame(HEADERS, END_HEADERS, 1, trailers)]],
  ['trailers alone, without a status of HTTP', [frame(HEADERS, END_HEADERS | END_STREAM, 1, trailers)]],
  [
    'less than its content-length',
    [
      frame(HEADERS, END_HEADERS, 1, Buffer.concat([response, plainBlock([['content-length', '10']])])),
      frame(HEADERS, END_HEADERS | END_STREAM, 1, trailers),
    ],
  ],
])('refuses a response that is malformed: %s', (_name, frames) => {
  const { heard, receive, frames: sent } = startCall();
  receive(...frames);
  expect(heard).toEqual([`ended ${statusCodes.INTERNAL}`]);
  expect(resetOf(sent())).toBe('PROTOCOL_ERROR');
});

it('holds no message any more that its listener has heard, however many a stream has', () => {
  const { heard, receive } = startCall({ ...wireLimits, heldBytesMax: 2_000 });
  receive(frame(HEADERS, END_HEADERS, 1, response));
  const message = Buffer.concat([Buffer.from([0]), uint32(1_000), Buffer.alloc(1_000)]);
  // In two pieces, so that each has to be put together.
  for (let count = 0; count < 20; count++)
    receive(frame(DATA, 0, 1, message.subarray(0, 500)), frame(DATA, 0, 1, message.subarray(500)));
  receive(frame(HEADERS, END_HEADERS | END_STREAM, 1, trailers));
  expect(heard).toEqual([...Array.from({ length: 20 }, () => 'message of 1000'), 'ended 0']);
});

it('takes informational responses before the one that counts', () => {
  const { heard, receive } = startCall();
  receive(
    frame(HEADERS, END_HEADERS, 1, plainBlock([[':status', '103']])),
    frame(HEADERS, END_HEADERS, 1, response),
    frame(DATA, 0, 1, Buffer.concat([Buffer.from([0]), uint32(2), Buffer.from('hi')])),
    frame(HEADERS, END_HEADERS | END_STREAM, 1, trailers),
  );
  expect(heard).toEqual(['message of 2', `ended ${statusCodes.OK}`]);
});

it('says that it has said all although the window is below zero, which needs none', () => {
  const { call, receive, frames } = startCall();
  call.send(Buffer.alloc(1_000));
  receive(frame(SETTINGS, 0, 0, settingsPayload([4, 0])));
  call.finish();
  const body = frames().filter(({ type }) => type === DATA);
  expect(body.map(({ flags, payload }) => [flags, payload.length])).toEqual([
    [0, 1_005],
    [END_STREAM, 0],
  ]);
});

it('gives up a stream whose server has answered before all was said, and hears no more of it', () => {
  const { call, heard, receive, frames } = startCall();
  call.send(Buffer.alloc(100_000));
  receive(frame(HEADERS, END_HEADERS, 1, response), frame(HEADERS, END_HEADERS | END_STREAM, 1, trailers));
  expect(resetOf(frames())).toBe('CANCEL');
  receive(
    frame(frameTypes.WINDOW_UPDATE, 0, 0, uint32(1_000_000)),
    frame(SETTINGS, 0, 0, settingsPayload([4, 1_000_000])),
  );
  expect(heard).toEqual([`ended ${statusCodes.OK}`]);
});

it('goes on when the answer to a call that was given up comes after many others', () => {
  const { client, call, receive, frames } = startCall();
  call.cancel();
  const heard: number[] = [];
  for (let count = 1; count <= 2 * wireLimits.closedStreamsKept; count++) {
    const id = 2 * count + 1;
    const listener = { message: () => {}, ended: () => void heard.push(id), drained: () => {} };
    client.start('/test.Echo/Any', listener).finish();
    receive(frame(HEADERS, END_HEADERS, id, response), frame(HEADERS, END_HEADERS | END_STREAM, id, trailers));
  }
  receive(frame(HEADERS, END_HEADERS, 1, response), frame(HEADERS, END_HEADERS | END_STREAM, 1, trailers));
  expect(heard).toHaveLength(2 * wireLimits.closedStreamsKept);
  expect(frames().filter(({ type }) => type === frameTypes.GOAWAY)).toEqual([]);
});

it.each(['204', '503'])('takes the status of gRPC that comes with HTTP %s for its own', (status) => {
  const { heard, receive } = startCall();
  const list = plainBlock([
    [':status', status],
    ['grpc-status', '9'],
  ]);
  receive(frame(HEADERS, END_HEADERS | END_STREAM, 1, list));
  expect(heard).toEqual([`ended ${statusCodes.FAILED_PRECONDITION}`]);
});

it('a second message is no answer to a call that has one: INTERNAL, and the server is told to stop', async () => {
  const { client, receive, frames } = startCall();
  const answer = client.unary('/test.Echo/Any', Buffer.from('a'));
  const message = Buffer.concat([Buffer.from([0]), uint32(1), Buffer.from('b')]);
  receive(
    frame(HEADERS, END_HEADERS, 3, response),
    frame(DATA, 0, 3, message),
    frame(DATA, 0, 3, message),
    frame(HEADERS, END_HEADERS | END_STREAM, 3, trailers),
  );
  await expect(answer).rejects.toMatchObject({ code: statusCodes.INTERNAL });
  expect(resetOf(frames())).toBe('CANCEL');
});
