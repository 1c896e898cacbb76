import { DomainError } from '../domain/domain-error.ts';
import type { Clock } from '../platform/clock.ts';
import type { BegunAnswer } from '../platform/grpc/handlers.ts';
import { answerParts, BatchReader, encodeBatch, splitBatch, type WaitingAnswer } from '../wire/batch-wire.ts';
import type { AnswerSource } from './answer-source.ts';
import type { BatchRoom } from './batch-room.ts';
import { resolverLimits } from './limits.ts';

export type BeginOptions = {
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly room: BatchRoom;
  /** So many lookups from the first on were found a moment ago, and are counted. */
  readonly foundBefore?: number;
};

/**
 * Answers those lookups of a batch that a source answers at once; the others are for the handler, and one that waits for the control
 * plane costs the rest of its batch nothing. Undefined: all of them are for it.
 * Throws OVERLOADED when there is no room to keep answers while others are waited for: the handler would need as much, and more time.
 */
export function beginBatch(
  source: AnswerSource,
  request: Buffer,
  { clock, room, foundBefore = 0 }: BeginOptions,
): BegunAnswer | undefined {
  const reader = new BatchReader(request);
  const foundAtMs = clock.monotonicMs();
  const answers: (WaitingAnswer | undefined)[] = [];
  const rest: Buffer[] = [];
  let [held, heldBytes] = [0, 0];
  const release = (): void => {
    room.give(held, heldBytes);
    held = heldBytes = 0;
  };
  const isBegun = (): boolean => {
    while (reader.next()) {
      const answer = waitingAnswer(source, request, reader, { foundAtMs, isRepeated: answers.length < foundBefore });
      answers.push(answer);
      if (answer === undefined) rest.push(request.subarray(reader.fieldStart, reader.end));
      else {
        if (heldBytes + answer.bytes.length > resolverLimits.batchAnswerBytesMax) return false;
        room.take(answer.bytes.length);
        held++;
        heldBytes += answer.bytes.length;
      }
    }
    return reader.isWhole && rest.length > 0 && rest.length < answers.length;
  };
  let mayWait = false;
  try {
    mayWait = isBegun();
  } finally {
    if (!mayWait) release();
  }
  if (!mayWait) return undefined;
  return {
    rest: Buffer.concat(rest),
    release,
    complete: (response) => {
      const others = splitBatch(response);
      // A submessage that ends early by a stray tag makes several of one, or one of several: see `decodeRequest`.
      if (others.length !== rest.length)
        throw new DomainError(
          'MALFORMED_MESSAGE',
          'the request cannot be decoded: a lookup does not end where it says',
        );
      const nowMs = clock.monotonicMs();
      let next = 0;
      return encodeBatch(
        answers.map((answer) => (answer === undefined ? others.slice(next, ++next) : answerParts(answer, nowMs))),
      );
    },
  };
}

function waitingAnswer(
  source: AnswerSource,
  request: Buffer,
  { start, end }: BatchReader,
  { foundAtMs, isRepeated }: { readonly foundAtMs: number; readonly isRepeated: boolean },
): WaitingAnswer | undefined {
  const found = source.find(request, start, end, isRepeated);
  if (found < 0) return undefined;
  const bytes = Buffer.allocUnsafe(found);
  source.write(bytes, 0);
  return { bytes, freshness: source.freshness, foundAtMs };
}
