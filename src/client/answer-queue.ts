import type { CallResult, ResponseListener } from '../../sidecar/wire/grpc/client-call.ts';

/** What the queue needs of its call. */
export interface Pausable {
  pause(): void;
  resume(): void;
}

/** `ended`: no more answers come than those in the queue. */
type State = { readonly kind: 'open' } | { readonly kind: 'ended'; readonly result: CallResult };

/**
 * The answers of a stream, for one reader. While there is any that has not been read the call pauses, so what has come stays
 * within the window of the stream, and the server waits.
 */
export class AnswerQueue implements ResponseListener {
  #state: State = { kind: 'open' };
  #call: Pausable | undefined;
  readonly #answers: Buffer[] = [];
  #wake: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;

  /** The call whose answers these are. */
  of(call: Pausable): void {
    this.#call = call;
  }

  get hasEnded(): boolean {
    return this.#state.kind === 'ended';
  }

  /** The next answer; how the call ended, after the last. */
  async next(): Promise<Buffer | CallResult> {
    for (;;) {
      const answer = this.#answers.shift();
      if (answer !== undefined) return answer;
      if (this.#state.kind === 'ended') return this.#state.result;
      this.#call?.resume();
      // What was held back may have come within `resume`.
      if (this.#answers.length > 0) continue;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Resolves when more can be sent, or the call has ended. */
  untilDrained(): Promise<void> {
    return new Promise((resolve) => {
      if (this.hasEnded) return resolve();
      this.#wakeWriter = resolve;
    });
  }

  message(bytes: Buffer, isShared: boolean): void {
    this.#answers.push(isShared ? Buffer.from(bytes) : bytes);
    this.#call?.pause();
    this.#wakeReader();
  }

  ended(result: CallResult): void {
    if (this.#state.kind === 'ended') return;
    this.#state = { kind: 'ended', result };
    this.#wakeReader();
    this.drained();
  }

  drained(): void {
    this.#wakeWriter?.();
    this.#wakeWriter = undefined;
  }

  #wakeReader(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}
