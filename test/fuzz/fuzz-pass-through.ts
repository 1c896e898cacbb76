import { GrpcAcceptor } from '../../sidecar/wire/grpc/grpc-acceptor.ts';
import { passThrough } from '../../sidecar/wire/pass-through.ts';
import { MemorySocket } from '../support/sidecar-wire/memory-socket.ts';
import { checkWritten, type FuzzOutcome } from './check-written.ts';
import { FrameMutations } from './frame-mutations.ts';
import { FuzzStage } from './fuzz-stage.ts';
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
  stage.endTurn();
  near.drain();
  far.drain();
  checkWritten(far, true, upstream.isOver);
  const outcome = checkWritten(near, false, connection.isOver);
  stage.close(near, far);
  return outcome;
}
