import { frameOf } from '../../src/platform/grpc/frame.ts';
import type { StreamWriter } from '../../src/platform/grpc/handlers.ts';
import type { ServerCall } from '../wire/grpc/server-call.ts';
import type { WireContext } from './wire-context.ts';

/** The one writer of a call's messages. */
export function wireWriter<Response>(
  call: ServerCall,
  context: WireContext,
  serialize: (response: Response) => Uint8Array,
): StreamWriter<Response> {
  const send = (start: Buffer, rest?: Buffer): boolean => {
    const more = call.sendRaw(start);
    return rest === undefined ? more : call.sendRaw(rest);
  };
  return {
    send,
    onDrain: (listener) => {
      context.onDrain = listener;
    },
    write: async (response) => {
      if (call.isOver) throw callIsOver();
      if (send(frameOf(response instanceof Uint8Array ? response : serialize(response)))) return;
      await context.untilDrained();
      if (call.isOver) throw callIsOver();
    },
  };
}

function callIsOver(): Error {
  return new Error('the call is over');
}
