import type { MethodDefinition } from '@grpc/grpc-js';
import type { CallOptions } from './call-options.ts';
import { withDefaults, type Fields } from './message.ts';
import type { Transport } from './transport.ts';

type RequestOf<Method> = Method extends { requestSerialize: (value: infer Request) => Uint8Array } ? Request : never;
type ResponseOf<Method> = Method extends { responseDeserialize: (bytes: Buffer) => infer Response } ? Response : never;

/** A method as its callers see it, by the shape of its call. Fields of a request that are left out have their defaults. */
export type ClientMethod<Method> = Method extends { requestStream: false; responseStream: false }
  ? (request: Fields<RequestOf<Method>>, options?: CallOptions) => Promise<ResponseOf<Method>>
  : Method extends { requestStream: false; responseStream: true }
    ? (request: Fields<RequestOf<Method>>, options?: CallOptions) => AsyncGenerator<ResponseOf<Method>, void, void>
    : Method extends { requestStream: true; responseStream: true }
      ? (
          requests: AsyncIterable<Fields<RequestOf<Method>>>,
          options?: CallOptions,
        ) => AsyncGenerator<ResponseOf<Method>, void, void>
      : never;

/** A service's methods, by the names that ts-proto gives them. */
export type ServiceClient<Service> = { readonly [Name in keyof Service]: ClientMethod<Service[Name]> };

/**
 * The client of a generated service. One function for all methods: what a method is called, takes and answers comes from its
 * definition, so that a new method of the proto needs nothing here.
 */
export function createServiceClient<Service extends object>(
  transport: Transport,
  service: Service,
): ServiceClient<Service> {
  const methods = Object.entries(service).map(([name, definition]) => [
    name,
    clientMethod(transport, definition as MethodDefinition<object, object>),
  ]);
  return Object.fromEntries(methods) as ServiceClient<Service>;
}

function clientMethod(transport: Transport, method: MethodDefinition<object, object>): unknown {
  // No bytes decode to the defaults. Made once: requests share them, for nobody sees a request before it is bytes.
  let defaults: object | undefined;
  const complete = (request: Fields<object>): object =>
    withDefaults((defaults ??= method.requestDeserialize(Buffer.alloc(0))), request);
  if (!method.responseStream) {
    return (request: Fields<object>, options?: CallOptions) => transport.unary(method, complete(request), options);
  }
  if (!method.requestStream) {
    return (request: Fields<object>, options?: CallOptions) =>
      transport.serverStream(method, complete(request), options);
  }
  return (requests: AsyncIterable<Fields<object>>, options?: CallOptions) =>
    transport.duplex(method, mapEach(requests, complete), options);
}

async function* mapEach<Input, Output>(
  inputs: AsyncIterable<Input>,
  transform: (input: Input) => Output,
): AsyncGenerator<Output, void, void> {
  for await (const input of inputs) yield transform(input);
}
