import { DomainError } from '../domain/domain-error.ts';
import type { Clock } from '../platform/clock.ts';
import type { BegunAnswer } from '../platform/grpc/handlers.ts';
import { answerParts, BatchReader, encodeBatch, splitBatch, type WaitingAnswer } from '../wire/batch-wire.ts';
import type { AnswerSource } from './answer-source.ts';
import { resolverLimits } from './limits.ts';

/**
 * Answers those lookups of a batch that a source answers at once; the others are for the handler, and one that waits for the control
 * plane costs the rest of its batch nothing. Undefined: all of them are for it.
 */
export function beginBatch(
  source: AnswerSource,
  request: Buffer,
  clock: Pick<Clock, 'monotonicMs'>,
): BegunAnswer | undefined {
  const reader = new BatchReader(request);
  const foundAtMs = clock.monotonicMs();
  const answers: (WaitingAnswer | undefined)[] = [];
  const rest: Buffer[] = [];
  let bytesLeft: number = resolverLimits.batchAnswerBytesMax;
  while (reader.next()) {
    const answer = bytesLeft < 0 ? undefined : waitingAnswer(source, request, reader, foundAtMs);
    answers.push(answer);
    if (answer === undefined) rest.push(request.subarray(reader.fieldStart, reader.end));
    else bytesLeft -= answer.bytes.length;
  }
  const hasBoth = rest.length > 0 && rest.length < answers.length;
  if (!reader.isWhole || !hasBoth || bytesLeft < 0) return undefined;
  return {
    rest: Buffer.concat(rest),
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
  foundAtMs: number,
): WaitingAnswer | undefined {
  const found = source.find(request, start, end);
  if (found < 0) return undefined;
  const bytes = Buffer.allocUnsafe(found);
  source.write(bytes, 0);
  return { bytes, freshness: source.freshness, foundAtMs };
}
