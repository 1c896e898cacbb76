import { frameFlags, frameTypes } from '../../sidecar/wire/frame.ts';
import { GrpcClient } from '../../sidecar/wire/grpc/grpc-client.ts';
import type { ClientCall, ResponseListener } from '../../sidecar/wire/grpc/client-call.ts';
import { statusCodes } from '../../sidecar/wire/grpc/status-code.ts';
import { frame, uint32 } from '../support/sidecar-wire/frames.ts';
import { MemorySocket } from '../support/sidecar-wire/memory-socket.ts';
import { checkUnblamed, checkWritten, type FuzzOutcome } from './check-written.ts';
import { fuzzLimits, FuzzStage } from './fuzz-stage.ts';
import { Overheard } from './overheard.ts';
import { peerBytes } from './peer-bytes.ts';
import { serverVocabulary } from './vocabulary.ts';

const messages = ['', 'a', 'hello', 'x'.repeat(300), 'y'.repeat(9_000)].map((text) => Buffer.from(text));
const messageBytesMax = fuzzLimits.heldBytesMax;

/** What one call heard; it must hear of its end once, and of nothing after it. */
class Heard implements ResponseListener {
  messages = 0;
  ends = 0;

  message(bytes: Buffer): void {
    if (this.ends > 0) throw new Error('a message after the end of its call');
    if (bytes.length > messageBytesMax) throw new Error('a message that is larger than it may be');
    this.messages++;
  }

  ended(): void {
    this.ends++;
  }

  drained(): void {
    if (this.ends > 0) throw new Error('a drain after the end of its call');
  }
}

/** A client with some calls under way, and a server of mutated frames; fails as those of a server do. */
export function fuzzClient(seed: number): FuzzOutcome {
  const stage = new FuzzStage(seed);
  const sockets: MemorySocket[] = [];
  const client = new GrpcClient({
    authority: 'peer',
    isSecure: false,
    clock: stage.clock,
    schedule: stage.schedule,
    limits: fuzzLimits,
    messageBytesMax,
    connect: () => {
      const socket = new MemorySocket();
      sockets.push(socket);
      return socket.asDuplex();
    },
  });
  const heard: Heard[] = [];
  const calls: ClientCall[] = [];
  const start = (): void => {
    const listener = new Heard();
    heard.push(listener);
    const call = client.start(
      '/test.Echo/Any',
      listener,
      stage.chance(0.3) ? { timeoutMs: stage.random() * 50 } : undefined,
    );
    calls.push(call);
    if (stage.chance(0.8)) call.send(messages[stage.below(messages.length)]!, stage.chance(0.7));
  };
  const opened = 1 + stage.below(5);
  for (let index = 0; index < opened; index++) start();
  const socket = sockets[0]!;
  const overheard = new Overheard(socket);
  const { pieces, isValid } = peerBytes({ seed, random: stage.random, client: overheard, opened });
  for (const piece of pieces) {
    socket.receive(piece);
    stage.disturb(socket);
    const call = calls[stage.below(calls.length)]!;
    if (stage.chance(0.03)) start();
    if (stage.chance(0.03)) call.send(messages[stage.below(messages.length)]!);
    if (stage.chance(0.02)) call.finish();
    if (stage.chance(0.02)) call.cancel();
  }
  stage.endTurn();
  stage.clock.advance(stage.random() * 100);
  for (const each of sockets) each.drain();
  const outcomes = sockets.map((each) => checkWritten(each, true, each.isDestroyed));
  if (isValid) checkUnblamed(outcomes[0]!, socket);
  for (const each of sockets) each.destroy();
  if (heard.some(({ ends }) => ends !== 1)) throw new Error('a call did not hear of its end, or did so twice');
  provesRoom(client, sockets);
  stage.close(...sockets);
  return outcomes[0]!;
}

/** A call whose answer takes all the room that there is. */
function provesRoom(client: GrpcClient, sockets: readonly MemorySocket[]): void {
  const listener = new Heard();
  let code: number | undefined;
  client
    .start('/test.Echo/Large', {
      message: (bytes) => listener.message(bytes),
      ended: ({ status }) => void (code = status.code),
      drained: () => {},
    })
    .finish();
  const half = Buffer.alloc(messageBytesMax / 2);
  const { END_HEADERS, END_STREAM } = frameFlags;
  sockets
    .at(-1)!
    .receive(
      Buffer.concat([
        frame(frameTypes.SETTINGS, 0, 0),
        frame(frameTypes.HEADERS, END_HEADERS, 1, serverVocabulary(1).blocks[0]),
        frame(frameTypes.DATA, 0, 1, Buffer.concat([Buffer.from([0]), uint32(messageBytesMax), half])),
        frame(frameTypes.DATA, 0, 1, half),
        frame(frameTypes.HEADERS, END_HEADERS | END_STREAM, 1, serverVocabulary(1).blocks[1]),
      ]),
    );
  if (code !== statusCodes.OK || listener.messages !== 1)
    throw new Error(`there is no room for an answer: ${code}, ${listener.messages} messages`);
}
