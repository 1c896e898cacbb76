import { Metadata } from '@grpc/grpc-js';
import { correlationHeader, givenCorrelationId, newCorrelationId } from '../../src/platform/grpc/correlation.ts';
import type { CallContext } from '../../src/platform/grpc/handlers.ts';
import type { CallEnd, CallListener, ServerCall } from '../wire/grpc/server-call.ts';
import { HeaderField } from '../wire/hpack/header-field.ts';

/** Fields of HTTP and gRPC that are no metadata of the caller's; grpc-js leaves out the same. */
const reserved: ReadonlySet<string> = new Set([
  'te',
  'content-type',
  'accept-encoding',
  'grpc-timeout',
  'grpc-encoding',
  'grpc-accept-encoding',
]);
/** What gRPC allows in metadata: HTTP allows more, which is left out. `Metadata` throws on it. */
const metadataNamePattern = /^[0-9a-z_.-]+$/;
const metadataTextPattern = /^[ -~]*$/;

/** What a handler knows of a call of the engine. The parts that cost something are made when they are asked for. */
export class WireContext implements CallContext, CallListener {
  readonly draining: AbortSignal;
  readonly deadlineMs: number | undefined;
  readonly correlationId: string;
  readonly #call: ServerCall;
  #abort: AbortController | undefined;
  #isOver = false;
  #metadata: Metadata | undefined;
  /** Hears whenever what waited has gone out. */
  onDrain: (() => void) | undefined;
  #waiting: (() => void)[] = [];

  constructor(call: ServerCall, { draining, wallMs }: { draining: AbortSignal; wallMs: () => number }) {
    this.#call = call;
    this.draining = draining;
    this.deadlineMs = call.timeoutMs === undefined ? undefined : wallMs() + call.timeoutMs;
    this.correlationId = givenCorrelationId(call.list.get(correlationHeader)) ?? newCorrelationId();
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#isOver) this.#abort.abort();
    }
    return this.#abort.signal;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get metadata(): Metadata {
    return (this.#metadata ??= metadataOf(this.#call));
  }

  /** What goes back with every status. */
  get trailers(): readonly HeaderField[] {
    return [new HeaderField(correlationHeader, this.correlationId)];
  }

  over(_why: CallEnd): void {
    this.#isOver = true;
    this.#abort?.abort();
    this.#goOn();
  }

  drained(): void {
    this.#goOn();
    this.onDrain?.();
  }

  /** Resolves when more can be sent, or the call is over. */
  untilDrained(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  #goOn(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

function metadataOf({ list }: ServerCall): Metadata {
  const metadata = new Metadata();
  for (const { name, value } of list.fields) {
    if (!metadataNamePattern.test(name) || reserved.has(name)) continue;
    if (!name.endsWith('-bin')) {
      if (metadataTextPattern.test(value)) metadata.add(name, value);
    }
    // Several values of a binary field may share one line, with commas between them.
    else for (const part of value.split(',')) metadata.add(name, Buffer.from(part, 'base64'));
  }
  return metadata;
}
