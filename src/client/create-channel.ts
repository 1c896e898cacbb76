import type { Channel, ChannelKind, ChannelOptions } from './channel.ts';
import { createGrpcJsChannel } from './grpc-js-channel.ts';

/** A channel of some kind. */
export function createChannel(kind: ChannelKind, options: ChannelOptions): Channel {
  switch (kind) {
    case 'grpc-js':
      return createGrpcJsChannel(options);
    case 'wire':
      return loadedLater(async () => (await import('./wire-channel.ts')).createWireChannel(options));
  }
}

/**
 * A channel whose code is loaded by its first call: reading the engine's files takes 60 ms of CPU from sources, which programs
 * that never call, or not over it, need not wait for.
 */
function loadedLater(load: () => Promise<Channel>): Channel {
  let loading: Promise<Channel> | undefined;
  const loaded = (): Promise<Channel> => (loading ??= load());
  return {
    unary: async (prepared, request) => (await loaded()).unary(prepared, request),
    async *serverStream(prepared, request) {
      yield* (await loaded()).serverStream(prepared, request);
    },
    async *duplex(prepared, requests) {
      yield* (await loaded()).duplex(prepared, requests);
    },
    // Calls that were made before are ahead of it: they begin, and finish.
    close: () => void loading?.then((channel) => channel.close()),
  };
}
