import { GrpcAcceptor } from '../../sidecar/wire/grpc/grpc-acceptor.ts';
import type { ServerCall } from '../../sidecar/wire/grpc/server-call.ts';
import { MemorySocket } from '../support/sidecar-wire/memory-socket.ts';
import { testMethods } from '../support/sidecar-wire/test-server.ts';
import { checkUnblamed, checkWritten, type FuzzOutcome } from './check-written.ts';
import { FuzzStage } from './fuzz-stage.ts';
import { peerBytes } from './peer-bytes.ts';

const seen = { events: [] as string[], calls: [] as ServerCall[] };
const methods = testMethods(seen);

/**
 * A server, and a client of mutated frames, made of its seed alone. Fails when the engine does what it never may: throw, call a
 * fault of the peer its own, blame a peer that keeps to the RFC, write what is no frame, or hold anything after the end.
 */
export function fuzzServer(seed: number): FuzzOutcome {
  const stage = new FuzzStage(seed);
  const { clock } = stage;
  const { pieces, isValid } = peerBytes({ seed, random: stage.random, client: undefined, opened: 0 });
  const socket = new MemorySocket();
  const acceptor = new GrpcAcceptor({ methods, passOn: undefined, clock, messageBytesMax: 1_000, backlogBytes: 1_000 });
  const connection = stage.connection(socket, acceptor);
  for (const piece of pieces) {
    socket.receive(piece);
    stage.disturb(socket);
  }
  stage.endTurn();
  clock.advance(stage.random() * 100);
  socket.drain();
  const outcome = checkWritten(socket, false, connection.isOver);
  if (isValid) checkUnblamed(outcome, socket);
  stage.close(socket);
  // What the methods noted is nobody's.
  seen.events.length = seen.calls.length = 0;
  return outcome;
}
