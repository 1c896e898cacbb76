import { createGrpcServer } from '../../src/platform/grpc/server.ts';
import { bindService } from '../../src/platform/grpc/service.ts';
import { sidecarLimits } from '../limits.ts';
import type { Front, FrontOptions } from './front.ts';

/** The front over grpc-js. */
export function createGrpcJsFront(options: FrontOptions): Front {
  const grpc = createGrpcServer({ ...options, bounds: sidecarLimits.front });
  return {
    library: grpc.server,
    leaving: grpc.leaving,
    draining: grpc.draining,
    serve: (service, handlers, serving) => {
      const { definition, implementation } = bindService(service, handlers, { ...serving, draining: grpc.draining });
      grpc.server.addService(definition, implementation);
    },
    listen: (address, how) => grpc.listen(address, how),
    [Symbol.asyncDispose]: () => grpc[Symbol.asyncDispose](),
  };
}
