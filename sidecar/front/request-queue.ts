import type { ServerCall } from '../wire/grpc/server-call.ts';

type Waiting<Message> = { readonly resolve: (next: IteratorResult<Message, undefined>) => void };

/**
 * The messages of a call, for one reader. What has come and has not been read stays within the window of the stream: the
 * call pauses while there is any, so the caller fills its window and waits.
 */
export class RequestQueue<Message> implements AsyncIterableIterator<Message, undefined> {
  readonly #call: ServerCall;
  readonly #messages: Message[] = [];
  #hasEnded = false;
  #waiting: Waiting<Message> | undefined;

  constructor(call: ServerCall) {
    this.#call = call;
  }

  /** Whether the reader has taken all that has come, and waits for the next. */
  get isAwaited(): boolean {
    return this.#waiting !== undefined;
  }

  push(message: Message): void {
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

  next(): Promise<IteratorResult<Message, undefined>> {
    const value = this.#messages.shift();
    if (this.#messages.length === 0 && !this.#hasEnded) this.#call.resume();
    if (value !== undefined) return Promise.resolve({ done: false, value });
    if (this.#hasEnded) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => {
      this.#waiting = { resolve };
    });
  }

  return(): Promise<IteratorResult<Message, undefined>> {
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
