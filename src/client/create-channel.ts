import { throwIfAborted } from './cancellation.ts';
import type { CallTerms, Channel, ChannelKind, ChannelOptions } from './channel.ts';
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
  let loaded: Channel | undefined;
  const loadedFor = async ({ signal, correlationId }: CallTerms): Promise<Channel> => {
    const channel = (loaded = await (loading ??= load()));
    // It may have aborted meanwhile, which it says once only.
    throwIfAborted(signal, correlationId);
    return channel;
  };
  return {
    unary: (prepared, request) =>
      // Each promise in between costs a call a twentieth of its time.
      loaded?.unary(prepared, request) ?? loadedFor(prepared).then((channel) => channel.unary(prepared, request)),
    async *serverStream(prepared, request) {
      yield* (await loadedFor(prepared)).serverStream(prepared, request);
    },
    async *duplex(prepared, requests) {
      yield* (await loadedFor(prepared)).duplex(prepared, requests);
    },
    // Calls that were made before are ahead of it: they begin, and finish.
    close: () => void loading?.then((channel) => channel.close()),
  };
}
