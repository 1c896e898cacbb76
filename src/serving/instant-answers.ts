import { limits } from '../domain/limits.ts';
import type { ResolverServiceService } from '../gen/trafficmanager/v1/resolver_service.ts';
import type { Instant, Instants } from '../platform/grpc/handlers.ts';
import { varintBytes, writeVarint } from '../wire/varint.ts';

/** Answers lookups at once, from bytes to bytes. */
export interface AnswerSource {
  /** Looks for the answer to the ResolveRequest from `start` to `end`: its bytes as a ResolveResponse; -1: not at once. */
  find(request: Buffer, start: number, end: number): number;
  /** Writes the answer that was found last, before anything else is looked for. */
  write(target: Buffer, at: number): void;
}

/** Before a message in a gRPC stream: one byte for "not compressed", four for its length. */
const prefixBytes = 5;
/** Field 1, length-delimited: `requests` of a batch, `results` of its answer, `response` of a result. */
const firstFieldTag = 0x0a;
/** What a lookup of a batch is expected to be answered with, bytes; more is made room for. */
const answerBytesExpected = 256;

/** Resolve, BatchResolve and StreamResolve from a source. */
export function resolverInstants(source: AnswerSource): Instants<typeof ResolverServiceService> {
  const batch = instantBatch(source);
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
 * once, and there are as many as there may be.
 */
function instantBatch(source: AnswerSource): Instant {
  return (request) => {
    const out = new BatchFrame(Math.min(limits.lookupsPerMessageMax, request.length / 8) * answerBytesExpected);
    let lookups = 0;
    for (let at = 0; at < request.length;) {
      if (request[at++] !== firstFieldTag || ++lookups > limits.lookupsPerMessageMax) return undefined;
      let bytes = request[at++] ?? 0;
      if (bytes >= 0x80) {
        const high = request[at++] ?? 0x80;
        // Longer than 16 KiB, which is for the decoder.
        if (high >= 0x80) return undefined;
        bytes = (bytes & 0x7f) + high * 0x80;
      }
      const end = at + bytes;
      if (end > request.length || !out.append(source, request, { start: at, end })) return undefined;
      at = end;
    }
    return lookups === 0 ? undefined : out.finish();
  };
}

/** A BatchResolveResponse, framed, that grows answer by answer. */
class BatchFrame {
  #bytes: Buffer;
  #end = prefixBytes;

  constructor(bytesExpected: number) {
    this.#bytes = Buffer.allocUnsafe(prefixBytes + Math.ceil(bytesExpected));
  }

  append(source: AnswerSource, request: Buffer, { start, end }: { start: number; end: number }): boolean {
    const answerBytes = source.find(request, start, end);
    if (answerBytes < 0) return false;
    const resultBytes = 1 + varintBytes(answerBytes) + answerBytes;
    this.#reserve(1 + varintBytes(resultBytes) + resultBytes);
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
    return this.#bytes.subarray(0, this.#end);
  }

  #reserve(bytes: number): void {
    if (this.#end + bytes <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(2 * this.#bytes.length + bytes);
    this.#bytes.copy(grown, 0, 0, this.#end);
    this.#bytes = grown;
  }
}
