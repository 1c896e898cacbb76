import type { CallOptions } from '../../src/client/call-options.ts';
import type { TrafficManagerClient } from '../../src/client/create-client.ts';
import { TrafficManagerError } from '../../src/client/traffic-manager-error.ts';
import type { WatchRequest, WatchResponse } from '../../src/gen/trafficmanager/v1/watch_service.ts';

type Watch = TrafficManagerClient['watch'];

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

  async *read(): AsyncGenerator<WatchResponse, void, void> {
    try {
      for (;;) {
        const message = this.#messages.shift();
        if (message !== undefined) {
          yield message;
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

/** The client's Watch, with the test in the place of its server; cancelled as the client cancels it. */
export class ScriptedWatch {
  readonly streams: ScriptedStream[] = [];
  #waiting: (() => void)[] = [];

  readonly watch: Watch = (request, options: CallOptions = {}) => {
    const stream = new ScriptedStream(request as Partial<WatchRequest>);
    const cancel = (): void =>
      stream.end(new TrafficManagerError({ code: 'CANCELLED', message: 'The caller cancelled the call.' }));
    if (options.signal?.aborted === true) cancel();
    options.signal?.addEventListener('abort', cancel, { once: true });
    this.streams.push(stream);
    for (const wake of this.#waiting.splice(0)) wake();
    return stream.read();
  };

  /** The `count`th call, counted from 1; waits for it. */
  async stream(count: number): Promise<ScriptedStream> {
    for (;;) {
      const found = this.streams[count - 1];
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
}
