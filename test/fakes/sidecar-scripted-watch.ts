import type { WatchedSource } from '../../sidecar/sync/control-plane-source.ts';
import type { CallOptions } from '../../src/client/call-options.ts';
import { TrafficManagerError } from '../../src/client/traffic-manager-error.ts';
import {
  WatchResponse,
  type GetPositionResponse,
  type WatchRequest,
} from '../../src/gen/trafficmanager/v1/watch_service.ts';

/** One call of Watch, whose server the test plays. */
export class ScriptedStream {
  readonly request: Partial<WatchRequest>;
  readonly #messages: WatchResponse[] = [];
  #ending: { readonly error: Error | undefined } | undefined;
  #wake: (() => void) | undefined;
  #asked: (() => void)[] = [];

  constructor(request: Partial<WatchRequest>) {
    this.request = request;
  }

  /** Resolves when the reader has taken it and asks for the next one, or is gone. */
  async send(message: WatchResponse): Promise<void> {
    if (this.#ending !== undefined) return;
    this.#messages.push(message);
    const taken = new Promise<void>((resolve) => this.#asked.push(resolve));
    this.#wake?.();
    await taken;
  }

  /** Without an error: as a server that ends the call with OK. */
  end(error?: Error): void {
    this.#ending ??= { error };
    this.#wake?.();
  }

  async *read(): AsyncGenerator<Buffer, void, void> {
    try {
      for (;;) {
        const message = this.#messages.shift();
        if (message !== undefined) {
          yield Buffer.from(WatchResponse.encode(message).finish());
          continue;
        }
        for (const resolve of this.#asked.splice(0)) resolve();
        if (this.#ending?.error !== undefined) throw this.#ending.error;
        if (this.#ending !== undefined) return;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      this.#ending ??= { error: undefined };
      for (const resolve of this.#asked.splice(0)) resolve();
    }
  }
}

/** One call of GetPosition, whose server the test plays. */
export type ScriptedQuestion = {
  readonly tenant: string | undefined;
  answer(response: GetPositionResponse): void;
  fail(error: Error): void;
};

/** The client's WatchService, with the test in the place of its server; cancelled as the client cancels it. */
export class ScriptedWatch implements WatchedSource {
  readonly streams: ScriptedStream[] = [];
  /** Those that were not answered, oldest first. */
  questions: ScriptedQuestion[] = [];
  #waiting: (() => void)[] = [];

  readonly watch: WatchedSource['watch'] = (request, options: CallOptions = {}) => {
    const stream = new ScriptedStream(request as Partial<WatchRequest>);
    const cancel = (): void => stream.end(cancelled());
    if (options.signal?.aborted === true) cancel();
    options.signal?.addEventListener('abort', cancel, { once: true });
    this.streams.push(stream);
    for (const wake of this.#waiting.splice(0)) wake();
    return stream.read();
  };

  readonly getPosition: WatchedSource['getPosition'] = ({ tenant }, { signal } = {}) =>
    new Promise((resolve, reject) => {
      const settled = (): void => {
        this.questions = this.questions.filter((each) => each !== question);
      };
      const question: ScriptedQuestion = {
        tenant,
        answer: (response) => {
          settled();
          resolve(response);
        },
        fail: (error) => {
          settled();
          reject(error);
        },
      };
      this.questions.push(question);
      signal?.addEventListener('abort', () => question.fail(cancelled()), { once: true });
    });

  /** The `count`th call of Watch, counted from 1; waits for it. */
  async stream(count: number): Promise<ScriptedStream> {
    for (;;) {
      const found = this.streams[count - 1];
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
}

function cancelled(): TrafficManagerError {
  return new TrafficManagerError({ code: 'CANCELLED', message: 'The caller cancelled the call.' });
}
