import type { StreamAcceptor } from '../connection-options.ts';
import type { HeaderList } from '../header-list.ts';
import { HeaderField } from '../hpack/header-field.ts';
import type { Stream } from '../stream.ts';
import { responseFields } from './fields.ts';
import { type Method, ServerCall, type ServerCallOptions } from './server-call.ts';
import { statusCodes } from './status-code.ts';
import { timeoutMsFrom } from './timeout.ts';

/** Takes calls of methods that are not served here; undefined refuses them with UNIMPLEMENTED. */
export type PassOn = (stream: Stream, list: HeaderList, isLast: boolean) => void;

/** How a call is refused, as trailers; undefined: it may go on. */
export type Guard = (list: HeaderList) => readonly HeaderField[] | undefined;

export type GrpcAcceptorOptions = ServerCallOptions & {
  /** By path: `/package.Service/Method`. */
  readonly methods: ReadonlyMap<string, Method>;
  readonly passOn: PassOn | undefined;
  /** Looks at every call first, also at those that are passed on. */
  readonly guard?: Guard | undefined;
};

/** As grpc-go: any format of messages, which are its method's to read; not gRPC-Web, which ends in another way. */
const contentTypePattern = /^application\/grpc([+;].*)?$/;

/** Plain HTTP, for callers that do not speak gRPC. */
const status405 = [new HeaderField(':status', '405'), new HeaderField('allow', 'POST')];
const status415 = [new HeaderField(':status', '415')];

/** Makes calls of the streams that a client opens. */
export class GrpcAcceptor implements StreamAcceptor {
  readonly #options: GrpcAcceptorOptions;

  constructor(options: GrpcAcceptorOptions) {
    this.#options = options;
  }

  accept(stream: Stream, list: HeaderList, isLast: boolean): void {
    const { methods, passOn, guard } = this.#options;
    if (list.isTooLarge) return refuse(stream, statusCodes.RESOURCE_EXHAUSTED, 'the metadata is too large');
    if (list.method !== 'POST') return stream.sendHeaders(status405, true);
    let type: string | undefined;
    let timeout: string | undefined;
    for (const { name, value } of list.fields) {
      if (name === 'content-type') type ??= value;
      else if (name === 'grpc-timeout') timeout ??= value;
    }
    if (!isGrpc(type)) return stream.sendHeaders(status415, true);
    const refusal = guard?.(list);
    if (refusal !== undefined) return stream.sendHeaders([...responseFields, ...refusal], true);
    const method = methods.get(list.path ?? '');
    if (method !== undefined) {
      const timeoutMs = timeout === undefined ? undefined : timeoutMsFrom(timeout);
      if (timeout !== undefined && timeoutMs === undefined)
        return refuse(stream, statusCodes.INTERNAL, 'the grpc-timeout is none');
      const call = new ServerCall(stream, list, method, this.#options);
      stream.consumer = call;
      return call.open(timeoutMs, isLast);
    }
    if (passOn !== undefined) return passOn(stream, list, isLast);
    return refuse(stream, statusCodes.UNIMPLEMENTED, 'the server does not implement this method');
  }
}

/** Most say one of two; the pattern is for the others. */
function isGrpc(type = ''): boolean {
  return type === 'application/grpc' || type === 'application/grpc+proto' || contentTypePattern.test(type);
}

function refuse(stream: Stream, code: number, message: string): void {
  const status = [new HeaderField('grpc-status', String(code)), new HeaderField('grpc-message', message)];
  stream.sendHeaders([...responseFields, ...status], true);
}
