import { Buffer } from 'node:buffer';
import type { AnswerPlace } from '../../src/platform/grpc/handlers.ts';
import type { ServerCall } from '../wire/grpc/server-call.ts';

const noBytes: Buffer = Buffer.alloc(0);

/**
 * Where instants write their answers to: what the connection of the call sends next, or a buffer of its own when the answer has to wait.
 * One for all calls of a method, for an instant has answered before the next one is asked.
 */
export class CallPlace implements AnswerPlace {
  target = noBytes;
  at = 0;
  #call: ServerCall | undefined;
  #hasToWait = false;

  of(call: ServerCall): this {
    this.#call = call;
    return this;
  }

  reserve(bytes: number): void {
    const at = this.#call?.beginMessage(bytes) ?? -1;
    this.#hasToWait = at < 0 || this.#call === undefined;
    this.target = this.#hasToWait ? Buffer.allocUnsafe(bytes) : (this.#call?.output ?? noBytes);
    this.at = Math.max(0, at);
  }

  /** Sends what was written; false: wait for `drained` before the next. */
  send(): boolean {
    return this.#hasToWait ? this.#call?.send(this.target) === true : true;
  }
}
