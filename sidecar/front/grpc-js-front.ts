import { createGrpcServer } from '../../src/platform/grpc/server.ts';
import { bindService } from '../../src/platform/grpc/service.ts';
import type { Front, FrontOptions } from './front.ts';

/** The front over grpc-js. */
export function createGrpcJsFront({ drainMs }: FrontOptions): Front {
  const grpc = createGrpcServer({ drainMs });
  return {
    library: grpc.server,
    draining: grpc.draining,
    serve: (service, handlers, options) => {
      const { definition, implementation } = bindService(service, handlers, { ...options, draining: grpc.draining });
      grpc.server.addService(definition, implementation);
    },
    listen: (address, how) => grpc.listen(address, how),
    [Symbol.asyncDispose]: () => grpc[Symbol.asyncDispose](),
  };
}
