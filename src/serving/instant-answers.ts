import type { ResolverServiceService } from '../gen/trafficmanager/v1/resolver_service.ts';
import type { Clock } from '../platform/clock.ts';
import type { AnswerPlace, Instant, Instants } from '../platform/grpc/handlers.ts';
import { BatchReader, firstFieldTag } from '../wire/batch-wire.ts';
import { varintBytes, writeVarint } from '../wire/varint.ts';
import type { AnswerSource } from './answer-source.ts';
import { BatchRoom } from './batch-room.ts';
import { beginBatch } from './begin-batch.ts';
import { resolverLimits } from './limits.ts';

/** Resolve, BatchResolve and StreamResolve from a source. */
export function resolverInstants(
  source: AnswerSource,
  clock: Pick<Clock, 'monotonicMs'>,
): Instants<typeof ResolverServiceService> {
  const batch = instantBatch(source, clock);
  return { resolve: instantResolve(source), batchResolve: batch, streamResolve: batch };
}

/** Resolve from a source. */
function instantResolve(source: AnswerSource): Instant {
  return (request, place) => {
    const bytes = source.find(request, 0, request.length);
    if (bytes < 0) return undefined;
    place.reserve(bytes);
    source.write(place.target, place.at);
    return 'answered';
  };
}

/**
 * BatchResolve and a message of StreamResolve, which have the same form, from a source: when all of the lookups are answered at
 * once, and there are as many as there may be. With one that is not, only the others are answered from it.
 */
function instantBatch(source: AnswerSource, clock: Pick<Clock, 'monotonicMs'>): Instant {
  const answer = new BatchAnswer(source);
  const begin = { clock, room: new BatchRoom() };
  return (request, place) => {
    const reader = new BatchReader(request);
    answer.begin();
    while (reader.next()) {
      if (!answer.find(request, reader)) return beginBatch(source, request, { ...begin, foundBefore: answer.found });
      if (reader.isWhole) return answer.finish(place);
      answer.append();
    }
    return undefined;
  };
}

/**
 * A BatchResolveResponse that grows answer by answer in memory that is used again for the next: all but its last answer, which is
 * written where it goes out from, for by then it is known how long all of them are.
 */
class BatchAnswer {
  readonly #source: AnswerSource;
  #bytes = Buffer.allocUnsafeSlow(resolverLimits.batchScratchBytes);
  #end = 0;
  /** Of the answer that was found last. */
  #answerBytes = 0;
  #resultBytes = 0;
  /** Lookups that were answered, also the one whose answer was too much. */
  found = 0;

  constructor(source: AnswerSource) {
    this.#source = source;
  }

  begin(): void {
    this.#end = 0;
    this.found = 0;
    if (this.#bytes.length > resolverLimits.batchScratchBytes)
      this.#bytes = Buffer.allocUnsafeSlow(resolverLimits.batchScratchBytes);
  }

  /** Looks for the next answer; false: there is none, or it is too much. It must be appended, or be the last. */
  find(request: Buffer, { start, end }: BatchReader): boolean {
    const answerBytes = this.#source.find(request, start, end);
    if (answerBytes < 0) return false;
    this.found++;
    this.#answerBytes = answerBytes;
    this.#resultBytes = fieldBytes(answerBytes);
    return this.#end + fieldBytes(this.#resultBytes) <= resolverLimits.batchAnswerBytesMax;
  }

  append(): void {
    this.#reserve(fieldBytes(this.#resultBytes));
    this.#end = this.#write(this.#bytes, this.#end);
  }

  finish(place: AnswerPlace): 'answered' {
    place.reserve(this.#end + fieldBytes(this.#resultBytes));
    const { target, at } = place;
    if (this.#end > 0) this.#bytes.copy(target, at, 0, this.#end);
    this.#write(target, at + this.#end);
    return 'answered';
  }

  #write(target: Buffer, from: number): number {
    target[from] = firstFieldTag;
    let at = writeVarint(target, this.#resultBytes, from + 1);
    target[at] = firstFieldTag;
    at = writeVarint(target, this.#answerBytes, at + 1);
    this.#source.write(target, at);
    return at + this.#answerBytes;
  }

  #reserve(bytes: number): void {
    if (this.#end + bytes <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(2 * this.#bytes.length + bytes);
    this.#bytes.copy(grown, 0, 0, this.#end);
    this.#bytes = grown;
  }
}

/** Of a field with so many bytes in it, tag and length included. */
function fieldBytes(bytes: number): number {
  return 1 + varintBytes(bytes) + bytes;
}
