import type { ServerCall } from '../wire/grpc/server-call.ts';

type Waiting = { readonly resolve: (next: IteratorResult<Buffer, undefined>) => void };

/**
 * The messages of a call, for one reader. What has come and has not been read stays within the window of the stream: the
 * call pauses while there is any, so the caller fills its window and waits.
 */
export class RequestQueue implements AsyncIterableIterator<Buffer, undefined> {
  readonly #call: ServerCall;
  readonly #messages: Buffer[] = [];
  #hasEnded = false;
  #waiting: Waiting | undefined;

  constructor(call: ServerCall) {
    this.#call = call;
  }

  push(message: Buffer): void {
    const waiting = this.#waiting;
    if (waiting !== undefined) {
      this.#waiting = undefined;
      return waiting.resolve({ done: false, value: message });
    }
    this.#messages.push(message);
    this.#call.pause();
  }

  /** No more messages come: the caller has said all, or the call is over. */
  end(): void {
    this.#hasEnded = true;
    this.#waiting?.resolve({ done: true, value: undefined });
    this.#waiting = undefined;
  }

  next(): Promise<IteratorResult<Buffer, undefined>> {
    const value = this.#messages.shift();
    if (this.#messages.length === 0 && !this.#hasEnded) this.#call.resume();
    if (value !== undefined) return Promise.resolve({ done: false, value });
    if (this.#hasEnded) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => {
      this.#waiting = { resolve };
    });
  }

  return(): Promise<IteratorResult<Buffer, undefined>> {
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
