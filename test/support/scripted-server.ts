import {
  Metadata,
  type MethodDefinition,
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
} from '@grpc/grpc-js';

/** What a server of grpc-js does with one call; it stands in the call's metadata, as base64 of JSON. */
export type ServerScript = {
  /** Tells the calls apart. */
  readonly id: number;
  /** Bytes of each answer; a call with one answer takes the first. */
  readonly answers: readonly number[];
  /** The call is not ended by the server. */
  readonly isHeld: boolean;
  readonly code: number;
  readonly details: string;
  readonly trailers: Readonly<Record<string, string>>;
};

export const scriptField = 'x-script';

/** What the server saw of a call. */
export type ScriptedCall = {
  readonly id: number;
  readonly metadata: Record<string, unknown>;
  readonly requestBytes: number[];
};

const same = (bytes: Buffer): Buffer => bytes;

function method(path: string, requestStream: boolean, responseStream: boolean): MethodDefinition<Buffer, Buffer> {
  const functions = { requestSerialize: same, requestDeserialize: same };
  return { path, requestStream, responseStream, ...functions, responseSerialize: same, responseDeserialize: same };
}

export const scriptedMethods = {
  unary: method('/test.Script/Unary', false, false),
  serverStream: method('/test.Script/ServerStream', false, true),
  duplex: method('/test.Script/Duplex', true, true),
} as const;

type Streaming = ServerWritableStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>;

/** A server of grpc-js that does what its callers ask of it. */
export async function startScriptedServer(): Promise<
  Disposable & { readonly address: string; readonly calls: ScriptedCall[] }
> {
  const calls: ScriptedCall[] = [];
  const saw = (metadata: Metadata): { readonly script: ServerScript; readonly requestBytes: number[] } => {
    const { [scriptField]: text = '', ...rest } = metadata.getMap();
    const requestBytes: number[] = [];
    const script = JSON.parse(Buffer.from(text.toString(), 'base64').toString()) as ServerScript;
    calls.push({ id: script.id, metadata: rest, requestBytes });
    return { script, requestBytes };
  };
  const end = (call: Streaming, script: ServerScript): void => {
    for (const bytes of script.answers) call.write(Buffer.alloc(bytes, 'a'));
    if (script.isHeld) return;
    if (script.code === 0) call.end(trailersOf(script));
    else call.emit('error', { code: script.code, details: script.details, metadata: trailersOf(script) });
  };
  const server = new Server();
  server.addService(scriptedMethods, {
    unary: (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => {
      const { script, requestBytes } = saw(call.metadata);
      requestBytes.push(call.request.length);
      if (script.isHeld) return;
      if (script.code === 0) callback(null, Buffer.alloc(script.answers[0] ?? 0, 'a'), trailersOf(script));
      else callback({ code: script.code, details: script.details, metadata: trailersOf(script) });
    },
    serverStream: (call: ServerWritableStream<Buffer, Buffer>) => {
      const { script, requestBytes } = saw(call.metadata);
      requestBytes.push(call.request.length);
      end(call, script);
    },
    duplex: (call: ServerDuplexStream<Buffer, Buffer>) => {
      const { script, requestBytes } = saw(call.metadata);
      call.on('error', () => {});
      call.on('data', (request: Buffer) => void requestBytes.push(request.length));
      call.on('end', () => end(call, script));
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  return { address: `127.0.0.1:${port}`, calls, [Symbol.dispose]: () => server.forceShutdown() };
}

function trailersOf({ trailers }: ServerScript): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(trailers))
    metadata.set(name, name.endsWith('-bin') ? Buffer.from(value, 'base64') : value);
  return metadata;
}
