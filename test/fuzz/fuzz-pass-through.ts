import { GrpcAcceptor } from '../../sidecar/wire/grpc/grpc-acceptor.ts';
import { passThrough } from '../../sidecar/wire/pass-through.ts';
import { MemorySocket } from '../support/sidecar-wire/memory-socket.ts';
import { checkUnblamed, checkWritten, type FuzzOutcome } from './check-written.ts';
import { FrameMutations } from './frame-mutations.ts';
import { FuzzStage, isConversation } from './fuzz-stage.ts';
import { Overheard } from './overheard.ts';
import { peerBytes } from './peer-bytes.ts';
import { clientVocabulary, serverVocabulary } from './vocabulary.ts';

const backlogBytes = 1_000;

/** Mutated frames from both sides of what is passed on; fails as those of a server do. Answers what the near side came to. */
export function fuzzPassThrough(seed: number): FuzzOutcome {
  const stage = new FuzzStage(seed);
  const near = new MemorySocket();
  const far = new MemorySocket();
  const upstream = stage.connection(far, undefined);
  const acceptor = new GrpcAcceptor({
    methods: new Map(),
    clock: stage.clock,
    messageBytesMax: 1_000,
    backlogBytes,
    passOn: (stream, list, isLast) =>
      passThrough(stream, list, isLast, {
        connection: upstream.streamsLeft > 0 ? upstream : undefined,
        backlogBytes,
      }),
  });
  const connection = stage.connection(near, acceptor);
  const isValid = isConversation(seed) ? converse(stage, { seed, near, far }) : sayMutated(stage, near, far);
  stage.endTurn();
  near.drain();
  far.drain();
  const ofFar = checkWritten(far, true, upstream.isOver);
  const outcome = checkWritten(near, false, connection.isOver);
  if (isValid) {
    checkUnblamed(ofFar, far);
    checkUnblamed(outcome, near);
  }
  stage.close(near, far);
  return outcome;
}

/** Frames at random from both sides. Answers whether all of them keep to the RFC. */
function sayMutated(stage: FuzzStage, near: MemorySocket, far: MemorySocket): false {
  const asked = new FrameMutations(stage.random, clientVocabulary);
  const answered = new FrameMutations(stage.random, serverVocabulary(1 + stage.below(3)));
  const requests = asked.cut(asked.connection());
  const answers = answered.cut(answered.connection());
  // Most requests come before most answers: an answer to nothing ends the far side.
  const lead = stage.below(requests.length + 1);
  for (const piece of requests.splice(0, lead)) near.receive(piece);
  while (requests.length + answers.length > 0) {
    const fromNear = stage.chance(requests.length / (requests.length + answers.length));
    const socket = fromNear ? near : far;
    const piece = (fromNear ? requests : answers).shift();
    if (piece !== undefined) socket.receive(piece);
    stage.disturb(socket);
  }
  return false;
}

/** A server that answers what was passed on to it, while the client goes on. */
function converse(
  stage: FuzzStage,
  { seed, near, far }: { readonly seed: number; readonly near: MemorySocket; readonly far: MemorySocket },
): boolean {
  const { random } = stage;
  const asked = peerBytes({ seed, random, client: undefined, opened: 0 });
  const answered = peerBytes({ seed, random, client: new Overheard(far), opened: 1 });
  const sides = [
    { socket: near, pieces: asked.pieces[Symbol.iterator]() },
    { socket: far, pieces: answered.pieces[Symbol.iterator]() },
  ];
  while (sides.length > 0) {
    const at = stage.below(sides.length);
    const { socket, pieces } = sides[at]!;
    const next = pieces.next();
    if (next.done === true) sides.splice(at, 1);
    else socket.receive(next.value);
    stage.disturb(socket);
    // What is passed on is there for the other side to answer.
    if (stage.chance(0.5)) stage.endTurn();
  }
  return asked.isValid && answered.isValid;
}
