import type { Server } from '@grpc/grpc-js';
import type { Handlers, Instants, ServiceShape } from '../../src/platform/grpc/handlers.ts';
import type { Stopping } from '../../src/platform/grpc/server.ts';
import type { ListenOptions } from '../../src/platform/grpc/listening.ts';
import type { ServiceOptions } from '../../src/platform/grpc/service.ts';

/**
 * What apps connect to: gRPC on the addresses of a sidecar. Whichever adapter stands behind it, a caller gets the same: the
 * same bytes in every message, the same statuses, metadata and trailers, and all services on one address. Two adapters pass
 * the same contract suite: grpc-js, the reference, and wire, the engine of our own.
 */
export type Front = AsyncDisposable &
  Stopping & {
    /** Serves what grpc-js has libraries for: reflection, health. */
    readonly library: Server;
    /** Serves a service; before the first `listen`. `instants` answer as the handlers would: an adapter may leave them out. */
    serve<Service extends ServiceShape>(
      service: Service,
      handlers: Handlers<Service>,
      options: Omit<ServiceOptions, 'draining'> & { readonly instants?: Instants<Service> },
    ): void;
    /**
     * `127.0.0.1:7401` (port 0: any free one), or `unix:/path`: mode 0600, with a group 0660. Resolves to the address with its real
     * port. What it asks of callers holds for this address alone: `guard` before every handler, instants and `library` too.
     */
    listen(address: string, how?: ListenOptions): Promise<string>;
  };

export const frontKinds = ['grpc-js', 'wire'] as const;
export type FrontKind = (typeof frontKinds)[number];

export type FrontOptions = {
  /** How long it serves on, and says that it is not ready, before it shuts down, ms; 0. */
  readonly drainDelayMs?: number;
  /** How long calls under way may take once the front shuts down, ms. */
  readonly drainMs: number;
};
