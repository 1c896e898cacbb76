import { expect, it } from 'vitest';
import { clientPreface, frameFlags, frameTypes } from '../../../sidecar/wire/frame.ts';
import { GrpcClient, type CallSettings } from '../../../sidecar/wire/grpc/grpc-client.ts';
import { statusCodes } from '../../../sidecar/wire/grpc/status-code.ts';
import { streamsMaxAssumed, wireLimits, type WireLimits } from '../../../sidecar/wire/limits.ts';
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

const { DATA, GOAWAY, HEADERS, PING, SETTINGS } = frameTypes;
const { ACK, END_HEADERS, END_STREAM } = frameFlags;
const ok = plainBlock([
  [':status', '200'],
  ['content-type', 'application/grpc'],
  ['grpc-status', '0'],
]);
const headerTableId = 1;
const streamsMaxId = 3;

/** A client whose servers say what the test says, each on its socket. */
class Stage {
  readonly clock = new FakeAlarmClock();
  readonly sockets: MemorySocket[] = [];
  readonly heard: string[] = [];
  readonly client: GrpcClient;
  readonly #scheduled: (() => void)[] = [];

  constructor(limits: Partial<WireLimits> = {}) {
    this.client = new GrpcClient({
      authority: 'peer',
      isSecure: false,
      clock: this.clock,
      schedule: (run) => void this.#scheduled.push(run),
      limits: { ...wireLimits, ...limits },
      messageBytesMax: 1_000,
      connect: () => {
        const socket = new MemorySocket();
        this.sockets.push(socket);
        return socket.asDuplex();
      },
    });
  }

  start(name: string, settings?: CallSettings) {
    return this.client.start(
      '/test.Echo/Any',
      {
        message: () => {},
        ended: ({ status }) => void this.heard.push(`${name} ${status.code}`),
        drained: () => void this.heard.push(`${name} drained`),
      },
      settings,
    );
  }

  settings(connection: number, streamsMax: number): void {
    this.sockets[connection]?.receive(frame(SETTINGS, 0, 0, settingsPayload([streamsMaxId, streamsMax])));
  }

  answer(connection: number, streamId: number): void {
    this.sockets[connection]?.receive(frame(HEADERS, END_HEADERS | END_STREAM, streamId, ok));
  }

  frames(connection: number, type: number): readonly ReadFrame[] {
    for (const run of this.#scheduled.splice(0)) run();
    const splitter = new FrameSplitter();
    splitter.push(Buffer.concat(this.sockets[connection]?.written ?? []).subarray(clientPreface.length));
    return splitter.frames.filter((each) => each.type === type);
  }

  /** The ids of the streams that were opened on a connection. */
  opened(connection: number): number[] {
    return this.frames(connection, HEADERS).map(({ streamId }) => streamId);
  }
}

it('opens no more streams than servers allow at least, until this one has said how many', () => {
  const stage = new Stage();
  for (let count = 0; count < 300; count++) stage.start('call');
  expect(stage.opened(0)).toHaveLength(streamsMaxAssumed);
  stage.settings(0, 250);
  expect(stage.opened(0)).toHaveLength(250);
  expect(stage.heard).toEqual([]);
});

it('lets calls wait for a stream in their order, with what they say', () => {
  const stage = new Stage({ connectionsMax: 1 });
  stage.start('first');
  stage.settings(0, 1);
  const second = stage.start('second');
  expect(second.send(Buffer.from('hi'))).toBe(false);
  second.finish();
  stage.start('third');
  expect(stage.opened(0)).toEqual([1]);
  stage.answer(0, 1);
  expect(stage.opened(0)).toEqual([1, 3]);
  expect(stage.frames(0, DATA).map(({ streamId, flags, payload }) => [streamId, flags, payload.length])).toEqual([
    [3, 0, 7],
    [3, END_STREAM, 0],
  ]);
  stage.answer(0, 3);
  expect(stage.opened(0)).toEqual([1, 3, 5]);
  expect(stage.heard).toEqual(['first 0', 'second drained', 'second 0']);
});

it('ends a call that waits for a stream at its deadline, and opens none for it', () => {
  const stage = new Stage({ connectionsMax: 1 });
  stage.start('first');
  stage.settings(0, 1);
  stage.start('second', { timeoutMs: 100 });
  stage.start('third').cancel();
  stage.clock.advance(101);
  expect(stage.heard).toEqual([`third ${statusCodes.CANCELLED}`, `second ${statusCodes.DEADLINE_EXCEEDED}`]);
  stage.answer(0, 1);
  expect(stage.opened(0)).toEqual([1]);
});

it('refuses a call when as many wait as may, and those that wait when the connection is lost for good', () => {
  const stage = new Stage({ connectionsMax: 1, waitingMax: 1 });
  stage.start('first');
  stage.settings(0, 1);
  stage.start('second');
  stage.start('third');
  expect(stage.heard).toEqual([`third ${statusCodes.UNAVAILABLE}`]);
  stage.client.close();
  stage.sockets[0]?.destroy();
  expect(stage.heard.slice(1).toSorted()).toEqual([
    `first ${statusCodes.UNAVAILABLE}`,
    `second ${statusCodes.UNAVAILABLE}`,
  ]);
});

it('finishes a call that waited when the client was closed', () => {
  const stage = new Stage({ connectionsMax: 1 });
  stage.start('first');
  stage.settings(0, 1);
  stage.start('second');
  stage.client.close();
  stage.answer(0, 1);
  stage.answer(0, 3);
  expect(stage.heard).toEqual(['first 0', 'second 0']);
  expect(stage.frames(0, GOAWAY)).toHaveLength(1);
});

it('connects again however many connections drain, each with a call that stays', () => {
  const stage = new Stage({ connectionsMax: 1 });
  for (let connection = 0; connection < 10; connection++) {
    stage.start('watch');
    stage.settings(connection, 100);
    stage.sockets[connection]?.receive(frame(GOAWAY, 0, 0, Buffer.concat([uint32(1), uint32(0)])));
  }
  expect(stage.sockets).toHaveLength(10);
  expect(stage.heard).toEqual([]);
});

it('goes on over another connection when the ids of one are spent', () => {
  const stage = new Stage({ ownStreamIdMax: 5 });
  stage.start('first');
  stage.settings(0, 100);
  for (let count = 1; count < 4; count++) stage.start('call');
  expect(stage.opened(0)).toEqual([1, 3, 5]);
  expect(stage.opened(1)).toEqual([1]);
  for (const id of [1, 3, 5]) stage.answer(0, id);
  // It is not kept for nothing.
  expect(stage.frames(0, GOAWAY)).toHaveLength(1);
});

it('sends no call whose time is up', () => {
  const stage = new Stage();
  stage.start('late', { timeoutMs: 0 });
  expect(stage.heard).toEqual([`late ${statusCodes.DEADLINE_EXCEEDED}`]);
  expect(stage.sockets).toEqual([]);
});

it('asks for a sign of life while there are calls, and never without one', () => {
  const stage = new Stage();
  const call = stage.start('call');
  stage.settings(0, 100);
  stage.clock.advance(2 * wireLimits.keepaliveMs);
  expect(stage.frames(0, PING)).toHaveLength(1);
  stage.sockets[0]?.receive(frame(PING, ACK, 0, 'liveness'));
  call.cancel();
  stage.clock.advance(10 * wireLimits.keepaliveMs);
  expect(stage.frames(0, PING)).toHaveLength(1);
  expect(stage.sockets[0]?.isDestroyed).toBe(false);
});

it('finds nobody where something answers that does not speak HTTP/2', () => {
  const stage = new Stage();
  stage.start('call');
  stage.sockets[0]?.receive(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'));
  expect(stage.heard).toEqual([`call ${statusCodes.UNAVAILABLE}`]);
});

it('tells the smallest table of a SETTINGS frame that names two', () => {
  const stage = new Stage();
  stage.start('first');
  const twoTables = settingsPayload([headerTableId, 0], [headerTableId, 4_096]);
  stage.sockets[0]?.receive(frame(SETTINGS, 0, 0, twoTables));
  stage.start('second');
  const [, second] = stage.frames(0, HEADERS);
  // RFC 7541 §6.3: a size of 0, then one of 4,096.
  expect(second?.payload.subarray(0, 4)).toEqual(Buffer.from([0x20, 0x3f, 0xe1, 0x1f]));
});
