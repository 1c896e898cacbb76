import type { Channel, ChannelKind } from './channel.ts';
import { createGrpcJsChannel } from './grpc-js-channel.ts';
import { createWireChannel } from './wire-channel.ts';

/** A channel of some kind to a gRPC target, as `parseAddress` makes it. */
export function createChannel(kind: ChannelKind, target: string): Channel {
  switch (kind) {
    case 'grpc-js':
      return createGrpcJsChannel(target);
    case 'wire':
      return createWireChannel(target);
  }
}
