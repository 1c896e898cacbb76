import {
  experimental,
  Metadata,
  ResponderBuilder,
  ServerCredentials,
  ServerInterceptingCall,
  ServerListenerBuilder,
  type ServerInterceptor,
} from '@grpc/grpc-js';
import { correlationHeader } from './correlation.ts';
import type { CallGuard, ListenOptions, RefusedCall } from './listening.ts';

/** What grpc-js asks of those who connect to an address. Without a guard there is no interceptor, and it costs nothing. */
export function serverCredentials({ tls, guard }: ListenOptions): ServerCredentials {
  const credentials =
    tls === undefined
      ? ServerCredentials.createInsecure()
      : ServerCredentials.createSsl(
          tls.clientAuthorities ?? null,
          [{ cert_chain: tls.certificate, private_key: tls.key }],
          tls.clientAuthorities !== undefined,
        );
  if (guard === undefined) return credentials;
  return experimental.createServerCredentialsWithInterceptors(credentials, [guardedBy(guard)]);
}

/** On the address, not on the server: its unix socket has no guard. */
function guardedBy(guard: CallGuard): ServerInterceptor {
  return ({ path }, call) => {
    const listener = new ServerListenerBuilder().withOnReceiveMetadata((metadata, next) => {
      const refused = guard(path, { get: (name) => metadata.get(name)[0]?.toString() });
      if (refused === undefined) next(metadata);
      else call.sendStatus(statusOf(refused));
    });
    return new ServerInterceptingCall(call, new ResponderBuilder().withStart((next) => next(listener.build())).build());
  };
}

function statusOf({ code, details, statusDetails, correlationId }: RefusedCall) {
  const metadata = new Metadata();
  metadata.set(correlationHeader, correlationId);
  metadata.set('grpc-status-details-bin', Buffer.from(statusDetails));
  return { code, details, metadata };
}
