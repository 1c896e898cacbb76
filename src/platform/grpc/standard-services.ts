import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Server } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';

const protoDirectory = fileURLToPath(new URL('../../../proto/', import.meta.url));

/** Serves `grpc.reflection` for our protos, so that grpcurl and the like need no files. */
export function addReflection(server: Server): void {
  const files = readdirSync(`${protoDirectory}trafficmanager/v1`).map((name) => `trafficmanager/v1/${name}`);
  new ReflectionService(loadSync(files, { includeDirs: [protoDirectory], keepCase: true })).addToServer(server);
}

/** The health of a server and of each of its services, for probes and load balancers. */
export type Health = { set(serving: boolean): void };

/** Serves `grpc.health.v1`; not serving until told. '' is the server as a whole. */
export function addHealth(server: Server, services: readonly string[]): Health {
  const names = ['', ...services];
  const health = new HealthImplementation(Object.fromEntries(names.map((name) => [name, 'NOT_SERVING'])));
  health.addToServer(server);
  return {
    set: (serving) => {
      for (const name of names) health.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
    },
  };
}
