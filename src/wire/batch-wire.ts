import type { Freshness } from '../domain/freshness.ts';
import { limits } from '../domain/limits.ts';
import { encodeFreshness } from './resolve-wire.ts';
import { readVarint, varintBytes, writeVarint } from './varint.ts';

/** Field 1, length-delimited: `requests` of a batch, `results` of its answer, `response` of a result. */
export const firstFieldTag = 0x0a;
/** `error` of a result. */
const errorTag = 0x12;

/**
 * The lookups of a BatchResolveRequest or a StreamResolveRequest, one after the other, as ranges of its bytes. What it does not take
 * is for the decoder: unknown fields, lookups longer than 16 KiB, and more of them than there may be.
 */
export class BatchReader {
  /** Of the lookup under way: where its field begins, and its bytes. */
  fieldStart = 0;
  start = 0;
  end = 0;
  readonly #bytes: Buffer;
  #count = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Goes on to the next lookup; false: there is none, or it is not for this reader. */
  next(): boolean {
    const bytes = this.#bytes;
    if (this.end >= bytes.length || bytes[this.end] !== firstFieldTag) return false;
    const low = bytes[this.end + 1] ?? 0x80;
    const high = low < 0x80 ? 0 : (bytes[this.end + 2] ?? 0x80);
    const start = this.end + (low < 0x80 ? 2 : 3);
    const end = start + (low & 0x7f) + high * 0x80;
    if (high >= 0x80 || end > bytes.length || this.#count === limits.lookupsPerMessageMax) return false;
    this.#count++;
    this.fieldStart = this.end;
    this.start = start;
    this.end = end;
    return true;
  }

  /** Whether the lookups read are all of a message that has as many as it may. */
  get isWhole(): boolean {
    return this.#count > 0 && this.end === this.#bytes.length;
  }
}

/** A ResolveResult as the parts that its bytes are made of: protobuf lets a message be the concatenation of its parts. */
export type ResultParts = readonly Uint8Array[];

/** An answer that waits for the others of its batch. */
export type WaitingAnswer = {
  /** As a ResolveResponse. */
  readonly bytes: Uint8Array;
  /** How fresh it was when it was found. */
  readonly freshness: Freshness;
  readonly foundAtMs: number;
};

/**
 * A result with an answer, as old as it is now. While it waited it has aged, and staleness is never understated: a second `freshness`
 * takes the place of the first (the last one counts, and generated decoders that do not merge take it whole).
 */
export function answerParts({ bytes, freshness, foundAtMs }: WaitingAnswer, nowMs: number): ResultParts {
  const stalenessMs = freshness.stalenessMs + Math.max(0, nowMs - foundAtMs);
  if (Math.ceil(stalenessMs) === Math.ceil(freshness.stalenessMs))
    return [fieldHead(firstFieldTag, bytes.length), bytes];
  const aged = encodeFreshness({ ...freshness, stalenessMs });
  return [fieldHead(firstFieldTag, bytes.length + aged.length), bytes, aged];
}

/** A result with an encoded Status. */
export function errorParts(status: Uint8Array): ResultParts {
  return [fieldHead(errorTag, status.length), status];
}

/** A BatchResolveResponse, or a StreamResolveResponse: both have the same form. */
export function encodeBatch(results: readonly ResultParts[]): Buffer {
  const parts = results.flatMap((result) => [fieldHead(firstFieldTag, bytesOf(result)), ...result]);
  return Buffer.concat(parts);
}

/** The results of one that {@link encodeBatch} has made. */
export function splitBatch(response: Uint8Array): Uint8Array[] {
  const results: Uint8Array[] = [];
  for (let at = 0; at < response.length;) {
    const bytes = readVarint(response, at + 1);
    const start = at + 1 + varintBytes(bytes);
    at = start + bytes;
    results.push(response.subarray(start, at));
  }
  return results;
}

function fieldHead(tag: number, bytes: number): Uint8Array {
  const head = Buffer.allocUnsafe(1 + varintBytes(bytes));
  head[0] = tag;
  writeVarint(head, bytes, 1);
  return head;
}

function bytesOf(parts: ResultParts): number {
  return parts.reduce((total, { length }) => total + length, 0);
}
