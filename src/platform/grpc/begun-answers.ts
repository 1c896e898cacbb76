import type { BegunAnswer, Encoded, StreamWriter } from './handlers.ts';

/** The answer of a stream that an instant has begun: its handler gets the rest of the request, and its next response completes it. */
export class BegunAnswers {
  #begun: BegunAnswer | undefined;

  /** The request for the handler. */
  begin(begun: BegunAnswer): Buffer {
    this.#begun = begun;
    return begun.rest;
  }

  /** The stream is over: no response comes any more. */
  end(): void {
    this.#begun?.release();
    this.#begun = undefined;
  }

  /** The handler's writer. */
  completing<Response>(
    writer: StreamWriter<Response>,
    serialize: (response: Response) => Uint8Array,
  ): StreamWriter<Response> {
    return {
      ...writer,
      write: async (response) => {
        const whole = this.#begun?.complete(encoded(response, serialize)) ?? response;
        this.end();
        await writer.write(whole);
      },
    };
  }
}

/** A response as bytes, whichever it is. */
export function encoded<Response>(
  response: Response | Encoded,
  serialize: (response: Response) => Uint8Array,
): Uint8Array {
  return response instanceof Uint8Array ? response : serialize(response);
}
