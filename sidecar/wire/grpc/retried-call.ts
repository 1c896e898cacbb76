import type { CallResult, ClientCall, ResponseListener } from './client-call.ts';
import { type CallStatus, statusCodes } from './status-code.ts';

export type RetriedCallOptions = {
  readonly start: (listener: ResponseListener, timeoutMs: number | undefined) => ClientCall;
  readonly monotonicMs: () => number;
  readonly timeoutMs: number | undefined;
  readonly message: Uint8Array;
  readonly ended: (result: CallResult, answer: Buffer | undefined) => void;
};

const tooMany: CallStatus = { code: statusCodes.INTERNAL, message: 'the server answered with more than one message' };

/**
 * A unary call that is made once more when the server says that it has not looked at it: a server that drains says so of the
 * calls that it missed, and their callers need not know. https://github.com/grpc/proposal/blob/master/A6-client-retries.md
 */
export class RetriedCall implements ResponseListener {
  readonly #options: RetriedCallOptions;
  readonly #startMs: number;
  #call: ClientCall | undefined;
  #answer: Buffer | undefined;
  #isRetried = false;

  constructor(options: RetriedCallOptions) {
    this.#options = options;
    this.#startMs = options.timeoutMs === undefined ? 0 : options.monotonicMs();
  }

  begin(): void {
    const { start, message, timeoutMs } = this.#options;
    this.#call = start(this, timeoutMs);
    this.#call.send(message, true);
  }

  cancel(): void {
    this.#call?.cancel();
  }

  message(bytes: Buffer, isShared: boolean): void {
    if (this.#answer !== undefined) this.#call?.fail(tooMany);
    else this.#answer = isShared ? Buffer.from(bytes) : bytes;
  }

  ended(result: CallResult): void {
    if (result.isUnprocessed && !this.#isRetried) this.#retry();
    else this.#options.ended(result, this.#answer);
  }

  drained(): void {}

  #retry(): void {
    const { start, message, timeoutMs, monotonicMs } = this.#options;
    this.#isRetried = true;
    const spentMs = timeoutMs === undefined ? 0 : monotonicMs() - this.#startMs;
    this.#call = start(this, timeoutMs === undefined ? undefined : timeoutMs - spentMs);
    this.#call.send(message, true);
  }
}
