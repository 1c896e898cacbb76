import { type ChannelCredentials, Client, credentials } from '@grpc/grpc-js';
import type { Channel, ChannelOptions } from './channel.ts';
import { clientLimits } from './limits.ts';
import type { TlsSettings } from './tls-settings.ts';
import { duplexCall, serverStreamCall } from './stream-call.ts';
import { unaryCall } from './unary-call.ts';
import { userAgent } from './user-agent.ts';

/** A channel over grpc-js. */
export function createGrpcJsChannel({ target, tls }: ChannelOptions): Channel {
  const client = new Client(target, credentialsOf(tls), {
    'grpc.max_receive_message_length': clientLimits.receivedMessageBytesMax,
    'grpc.initial_reconnect_backoff_ms': clientLimits.reconnectMsMin,
    'grpc.min_reconnect_backoff_ms': clientLimits.reconnectMsMin,
    'grpc.max_reconnect_backoff_ms': clientLimits.reconnectMsMax,
    'grpc.primary_user_agent': userAgent,
    'grpc.keepalive_time_ms': clientLimits.keepaliveMs,
    'grpc.keepalive_timeout_ms': clientLimits.keepaliveTimeoutMs,
    ...(tls?.serverName === undefined
      ? {}
      : { 'grpc.ssl_target_name_override': tls.serverName, 'grpc.default_authority': tls.serverName }),
  });
  return {
    unary: (prepared, request) => unaryCall(client, prepared, request),
    serverStream: (prepared, request) => serverStreamCall(client, prepared, request),
    duplex: (prepared, requests) => duplexCall(client, prepared, requests),
    close: () => client.close(),
  };
}

function credentialsOf(tls: TlsSettings | undefined): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  const { authorities, certificate, key } = tls;
  return credentials.createSsl(bytesOf(authorities), bytesOf(key), bytesOf(certificate));
}

function bytesOf(pem: string | Buffer | undefined): Buffer | null {
  return pem === undefined ? null : Buffer.from(pem);
}
