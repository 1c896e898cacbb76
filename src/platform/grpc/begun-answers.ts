import type { BegunAnswer, Encoded, StreamWriter } from './handlers.ts';

/** The answer of a stream that an instant has begun: its handler gets the rest of the request, and its next response completes it. */
export class BegunAnswers {
  #begun: BegunAnswer | undefined;

  /** The request for the handler. */
  begin(begun: BegunAnswer): Buffer {
    this.#begun = begun;
    return begun.rest;
  }

  /** The handler's writer. */
  completing<Response>(
    writer: StreamWriter<Response>,
    serialize: (response: Response) => Uint8Array,
  ): StreamWriter<Response> {
    return {
      ...writer,
      write: async (response) => {
        const begun = this.#begun;
        this.#begun = undefined;
        await writer.write(begun === undefined ? response : begun.complete(encoded(response, serialize)));
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
