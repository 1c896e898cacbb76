import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { MethodDefinition, ServerDuplexStream, UntypedServiceImplementation } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';

type Method = MethodDefinition<unknown, unknown>;
type Reflection = { readonly method: Method; readonly serve: (call: object) => void };

const protoDirectory = fileURLToPath(new URL('../../../proto/', import.meta.url));
const reflections = reflectionsOfOurProtos();

/** Answers a call of `grpc.reflection`, whose messages come and go as bytes. */
export function serveReflection(path: string, call: ServerDuplexStream<Buffer, Buffer>): void {
  const reflection = reflections.get(path);
  if (reflection === undefined) throw new Error(`${path} is no path of reflection`);
  const { method, serve } = reflection;
  serve({
    on: (event: string, listener: (value: unknown) => void) =>
      call.on(event, event === 'data' ? (bytes: Buffer) => listener(method.requestDeserialize(bytes)) : listener),
    write: (message: unknown) => call.write(method.responseSerialize(message)),
    end: () => call.end(),
  });
}

/** By the paths of its methods: v1 and v1alpha. */
function reflectionsOfOurProtos(): ReadonlyMap<string, Reflection> {
  const files = readdirSync(`${protoDirectory}trafficmanager/v1`).map((name) => `trafficmanager/v1/${name}`);
  const service = new ReflectionService(loadSync(files, { includeDirs: [protoDirectory], keepCase: true }));
  const found = new Map<string, Reflection>();
  const addService = (methods: Readonly<Record<string, Method>>, handlers: UntypedServiceImplementation): void => {
    for (const [name, method] of Object.entries(methods))
      found.set(method.path, { method, serve: handlers[name] as unknown as (call: object) => void });
  };
  service.addToServer({ addService });
  return found;
}
