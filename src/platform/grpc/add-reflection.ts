import { status, type Server, type ServerDuplexStream } from '@grpc/grpc-js';

const asIs = (bytes: Buffer): Buffer => bytes;

/**
 * Serves `grpc.reflection` for our protos, so that grpcurl and the like need no files. What answers is loaded by the first call:
 * a sidecar without it, and without the health package, starts in 180 instead of 250 ms and takes 75 instead of 82 MB.
 */
export function addReflection(server: Server): void {
  for (const version of ['v1', 'v1alpha']) {
    const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
    const method = {
      path,
      requestStream: true,
      responseStream: true,
      requestSerialize: asIs,
      requestDeserialize: asIs,
      responseSerialize: asIs,
      responseDeserialize: asIs,
    };
    const serve = (call: ServerDuplexStream<Buffer, Buffer>): void => {
      import('./reflection.ts').then(
        ({ serveReflection }) => serveReflection(path, call),
        () => call.emit('error', { code: status.INTERNAL, details: 'reflection is not installed here' }),
      );
    };
    server.addService({ serverReflectionInfo: method }, { serverReflectionInfo: serve });
  }
}
