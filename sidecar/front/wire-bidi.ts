import { Buffer } from 'node:buffer';
import { BegunAnswers } from '../../src/platform/grpc/begun-answers.ts';
import type { BegunAnswer, BidiHandler, Instant } from '../../src/platform/grpc/handlers.ts';
import { untilDraining } from '../../src/platform/grpc/until-draining.ts';
import type { CallEnd, Method, RequestListener, ServerCall } from '../wire/grpc/server-call.ts';
import { RequestQueue } from './request-queue.ts';
import { WireContext } from './wire-context.ts';
import { type Bound, end, fail } from './wire-ending.ts';
import { wireWriter } from './wire-writer.ts';

/** A message on its way to the handler. `asked`: what the instant has said to it, if it was asked already. */
type Waiting = { readonly request: Buffer; readonly asked?: { readonly answer: BegunAnswer | undefined } };

/** A method of two streams: each of its calls has a handler, and answers before it what an instant answers. */
export function bidi(handler: BidiHandler<unknown, unknown>, bound: Bound): Method {
  const shutdown = { hasBegun: bound.options.draining.aborted };
  // Known beforehand: a signal takes longer to ask, and each message would.
  bound.options.draining.addEventListener('abort', () => (shutdown.hasBegun = true), { once: true });
  return { requests: 'many', open: (call) => new BidiCall(call, bound, shutdown).start(handler) };
}

/**
 * One call. A message that comes while the handler waits for the next, and that an instant answers, is answered where it stands: no
 * promise, no copy, nothing but the answer. All others queue for the handler, and what comes behind them does too, so that answers
 * keep the order of their questions.
 */
class BidiCall implements RequestListener {
  readonly #call: ServerCall;
  readonly #bound: Bound;
  readonly #context: WireContext;
  readonly #queue: RequestQueue<Waiting>;
  readonly #shutdown: { readonly hasBegun: boolean };
  readonly #begun = new BegunAnswers();
  /** As much waits for the caller as may: nothing is answered until that has gone out. */
  #isFull = false;

  constructor(call: ServerCall, bound: Bound, shutdown: { readonly hasBegun: boolean }) {
    this.#call = call;
    this.#shutdown = shutdown;
    this.#bound = bound;
    const { draining, clock } = bound.options;
    this.#context = new WireContext(call, { draining, wallMs: () => clock.wallMs() });
    this.#queue = new RequestQueue(call);
  }

  start(handler: BidiHandler<unknown, unknown>): this {
    this.#call.begin();
    this.#call.occupy(0);
    void this.#run(handler);
    return this;
  }

  async #run(handler: BidiHandler<unknown, unknown>): Promise<void> {
    const call = this.#call;
    const context = this.#context;
    const bound = this.#bound;
    const writer = this.#begun.completing(wireWriter(call, context, bound.serialize), bound.serialize);
    try {
      await handler(this.#requests(), writer, context);
      end({ call, context, bound });
    } catch (error) {
      fail(error, { call, context, bound });
    } finally {
      this.#begun.end();
      call.vacate();
    }
  }

  message(bytes: Buffer, isShared: boolean): void {
    const { instant, place } = this.#bound;
    // Once the server shuts down, all go the long way: it is there that the last of them is told from others.
    if (instant === undefined || this.#isFull || !this.#queue.isAwaited || this.#shutdown.hasBegun)
      return this.#queue.push({ request: ownBytes(bytes, isShared) });
    let answer: ReturnType<Instant>;
    try {
      answer = instant(bytes, place.of(this.#call));
    } catch {
      // Asked again, it fails where the handler's errors are handled.
      return this.#queue.push({ request: ownBytes(bytes, isShared) });
    }
    if (answer === 'answered') this.#isFull = !place.send();
    else this.#queue.push({ request: ownBytes(bytes, isShared), asked: { answer } });
  }

  ended(): void {
    this.#queue.end();
  }

  drained(): void {
    this.#isFull = false;
    this.#context.drained();
  }

  over(why: CallEnd): void {
    this.#context.over(why);
    this.#queue.end();
  }

  /** What is left to the handler. What an instant answers it never sees; that is answered in its place in the order all the same. */
  async *#requests(): AsyncIterable<unknown> {
    const { decode, instant, place, options } = this.#bound;
    for await (const { request, asked } of untilDraining(this.#queue, options)) {
      if (this.#isFull && !this.#call.isOver) await this.#context.untilDrained();
      const answer = asked === undefined ? instant?.(request, place.of(this.#call)) : asked.answer;
      if (answer === undefined) yield decode(request);
      else if (answer !== 'answered') yield decode(this.#begun.begin(answer));
      else if (this.#call.isOver) return;
      else this.#isFull = !place.send();
    }
  }
}

function ownBytes(bytes: Buffer, isShared: boolean): Buffer {
  return isShared ? Buffer.from(bytes) : bytes;
}
