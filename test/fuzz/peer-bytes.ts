import { clientPreface } from '../../sidecar/wire/frame.ts';
import { Dice } from './dice.ts';
import { FrameMutations } from './frame-mutations.ts';
import { isConversation } from './fuzz-stage.ts';
import type { Overheard } from './overheard.ts';
import { ValidClient } from './valid-client.ts';
import { ValidServer } from './valid-server.ts';
import { clientVocabulary, serverVocabulary } from './vocabulary.ts';

/** All that a peer says, in the pieces in which a socket might have read it: made one by one, while the engine answers. */
export type PeerBytes = {
  readonly pieces: Iterable<Buffer>;
  /** Whether all of it keeps to the RFC. */
  readonly isValid: boolean;
};

export type PeerBytesOptions = {
  readonly seed: number;
  readonly random: () => number;
  /** What a server has to answer; undefined: the peer is a client. */
  readonly client: Overheard | undefined;
  /** Streams that the engine has opened before, where the peer is a server. */
  readonly opened: number;
};

/** Frames at random; or a conversation by the RFC, of which two in three go wrong in places: those get further into the engine. */
export function peerBytes({ seed, random, client, opened }: PeerBytesOptions): PeerBytes {
  const mutations = new FrameMutations(random, client === undefined ? clientVocabulary : serverVocabulary(opened));
  if (!isConversation(seed)) return { pieces: mutations.cut(mutations.connection()), isValid: false };
  const dice = new Dice(random);
  const isValid = dice.chance(0.33);
  const speaker = client === undefined ? new ValidClient(dice) : new ValidServer(dice, client);
  const preface = client === undefined ? clientPreface : Buffer.alloc(0);
  const first = Buffer.concat([preface, speaker.settings()]);
  // An answer has more frames than a request, and some turns come before there is anything to answer.
  const steps = 2 + dice.below(client === undefined ? 30 : 80);
  const frames = isValid ? valid(speaker, steps) : mutated(speaker, mutations, { dice, steps });
  return { pieces: cut(first, frames, dice), isValid };
}

type Speaker = { next(): Buffer };

function* valid(speaker: Speaker, steps: number): Generator<Buffer> {
  for (let left = steps; left > 0; left--) yield speaker.next();
}

/** A frame here and there is changed, said twice or forty times, left out, late, or one at random. */
function* mutated(
  speaker: Speaker,
  mutations: FrameMutations,
  { dice, steps }: { readonly dice: Dice; readonly steps: number },
): Generator<Buffer> {
  const share = dice.pick([0.02, 0.1, 0.3]);
  let late: Buffer | undefined;
  for (let left = steps; left > 0; left--) {
    const bytes = speaker.next();
    if (!dice.chance(share)) yield bytes;
    else
      switch (dice.below(8)) {
        case 0:
          break;
        case 1:
          yield Buffer.concat([bytes, bytes]);
          break;
        case 2:
          yield Buffer.concat(Array.from({ length: 40 }, () => bytes));
          break;
        case 3:
          late = bytes;
          break;
        case 4:
        case 5:
          yield mutations.frame();
          break;
        default:
          yield flipped(bytes, dice);
      }
    if (late !== undefined && dice.chance(0.5)) {
      yield late;
      late = undefined;
    }
  }
}

/** As often in the nine bytes before a payload as in it. */
function flipped(bytes: Buffer, dice: Dice): Buffer {
  const copy = Buffer.from(bytes);
  const at = dice.below(dice.chance(0.5) ? Math.min(9, copy.length) : copy.length);
  copy[at] = dice.chance(0.7) ? (copy[at] ?? 0) ^ (1 << dice.below(8)) : dice.pick([0, 1, 0x7f, 0x80, 0xff]);
  return copy;
}

function* cut(first: Buffer, frames: Iterable<Buffer>, dice: Dice): Generator<Buffer> {
  const sizeMax = dice.pick([1, 3, 10, 100, 100_000]);
  let waiting = first;
  for (const bytes of frames) {
    waiting = Buffer.concat([waiting, bytes]);
    // Several frames come in one piece now and then.
    if (sizeMax > 100 && dice.chance(0.5)) continue;
    yield* parts(waiting, sizeMax, dice);
    waiting = Buffer.alloc(0);
  }
  yield* parts(waiting, sizeMax, dice);
}

function* parts(bytes: Buffer, sizeMax: number, dice: Dice): Generator<Buffer> {
  for (let at = 0; at < bytes.length;) {
    const size = 1 + dice.below(sizeMax);
    yield bytes.subarray(at, at + size);
    at += size;
  }
}
