import { Client, credentials } from '@grpc/grpc-js';
import type { Channel } from './channel.ts';
import { clientLimits } from './limits.ts';
import { duplexCall, serverStreamCall } from './stream-call.ts';
import { unaryCall } from './unary-call.ts';

/** A channel over grpc-js. */
export function createGrpcJsChannel(target: string): Channel {
  const client = new Client(target, credentials.createInsecure(), {
    'grpc.max_receive_message_length': clientLimits.receivedMessageBytesMax,
    'grpc.initial_reconnect_backoff_ms': clientLimits.reconnectMsMin,
    'grpc.min_reconnect_backoff_ms': clientLimits.reconnectMsMin,
    'grpc.max_reconnect_backoff_ms': clientLimits.reconnectMsMax,
    'grpc.keepalive_time_ms': clientLimits.keepaliveMs,
    'grpc.keepalive_timeout_ms': clientLimits.keepaliveTimeoutMs,
  });
  return {
    unary: (prepared, request) => unaryCall(client, prepared, request),
    serverStream: (prepared, request) => serverStreamCall(client, prepared, request),
    duplex: (prepared, requests) => duplexCall(client, prepared, requests),
    close: () => client.close(),
  };
}
