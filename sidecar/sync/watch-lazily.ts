import { createServiceClient } from '../../src/client/service-client.ts';
import type { TrafficManagerClient } from '../../src/client/create-client.ts';
import type { Transport } from '../../src/client/transport.ts';
import { WatchResponse, WatchServiceService } from '../../src/gen/trafficmanager/v1/watch_service.ts';

/** The method, with messages as they came. */
const method = { ...WatchServiceService.watch, responseDeserialize: (bytes: Buffer): Buffer => bytes };

/**
 * Watches as the client does, but makes each message of its bytes only when it is its turn. gRPC reads 16 ahead, and 16 parts of a
 * snapshot as objects are 6,400 routes, which live long enough to be moved to where garbage stays: 6 MB of process less after 100,000 of them.
 */
export function watchLazily(transport: Transport): TrafficManagerClient['watch'] {
  const { watch } = createServiceClient(transport, { watch: method });
  return async function* messages(request, options) {
    for await (const bytes of watch(request, options)) yield WatchResponse.decode(bytes);
  };
}
