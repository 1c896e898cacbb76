import type { ResolverServiceService } from '../gen/trafficmanager/v1/resolver_service.ts';
import type { Clock } from '../platform/clock.ts';
import type { Instant, Instants } from '../platform/grpc/handlers.ts';
import { BatchReader, firstFieldTag } from '../wire/batch-wire.ts';
import { varintBytes, writeVarint } from '../wire/varint.ts';
import type { AnswerSource } from './answer-source.ts';
import { BatchRoom } from './batch-room.ts';
import { beginBatch } from './begin-batch.ts';
import { resolverLimits } from './limits.ts';

/** Before a message in a gRPC stream: one byte for "not compressed", four for its length. */
const prefixBytes = 5;

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
  return (request) => {
    const bytes = source.find(request, 0, request.length);
    if (bytes < 0) return undefined;
    const frame = Buffer.allocUnsafe(prefixBytes + bytes);
    frame[0] = 0;
    frame.writeUInt32BE(bytes, 1);
    source.write(frame, prefixBytes);
    return frame;
  };
}

/**
 * BatchResolve and a message of StreamResolve, which have the same form, from a source: when all of the lookups are answered at
 * once, and there are as many as there may be. With one that is not, only the others are answered from it.
 */
function instantBatch(source: AnswerSource, clock: Pick<Clock, 'monotonicMs'>): Instant {
  const frame = new BatchFrame();
  const begin = { clock, room: new BatchRoom() };
  return (request) => {
    const reader = new BatchReader(request);
    frame.begin();
    while (reader.next()) {
      if (frame.append(source, request, reader)) continue;
      return beginBatch(source, request, { ...begin, foundBefore: frame.found });
    }
    return reader.isWhole ? frame.finish() : undefined;
  };
}

/** A BatchResolveResponse, framed, that grows answer by answer in memory that is used again for the next. */
class BatchFrame {
  #bytes = Buffer.allocUnsafeSlow(resolverLimits.batchScratchBytes);
  #end = prefixBytes;
  /** Lookups that were answered, also the one whose answer was too much. */
  found = 0;

  begin(): void {
    this.#end = prefixBytes;
    this.found = 0;
    if (this.#bytes.length > resolverLimits.batchScratchBytes)
      this.#bytes = Buffer.allocUnsafeSlow(resolverLimits.batchScratchBytes);
  }

  append(source: AnswerSource, request: Buffer, { start, end }: BatchReader): boolean {
    const answerBytes = source.find(request, start, end);
    if (answerBytes < 0) return false;
    this.found++;
    const resultBytes = 1 + varintBytes(answerBytes) + answerBytes;
    const bytes = 1 + varintBytes(resultBytes) + resultBytes;
    if (this.#end + bytes > resolverLimits.batchAnswerBytesMax) return false;
    this.#reserve(bytes);
    this.#bytes[this.#end] = firstFieldTag;
    this.#end = writeVarint(this.#bytes, resultBytes, this.#end + 1);
    this.#bytes[this.#end] = firstFieldTag;
    this.#end = writeVarint(this.#bytes, answerBytes, this.#end + 1);
    source.write(this.#bytes, this.#end);
    this.#end += answerBytes;
    return true;
  }

  finish(): Buffer {
    this.#bytes[0] = 0;
    this.#bytes.writeUInt32BE(this.#end - prefixBytes, 1);
    const frame = Buffer.allocUnsafe(this.#end);
    this.#bytes.copy(frame, 0, 0, this.#end);
    return frame;
  }

  #reserve(bytes: number): void {
    if (this.#end + bytes <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(2 * this.#bytes.length + bytes);
    this.#bytes.copy(grown, 0, 0, this.#end);
    this.#bytes = grown;
  }
}
