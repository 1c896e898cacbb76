import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import { ErrorInfo, RetryInfo, Status } from '../../src/gen/google/rpc/status.ts';
import { frameOf } from '../../src/platform/grpc/frame.ts';

/** How a call ended: its gRPC status with what came in its details; of one without a status, what its stream was reset with. */
export type RawEnd =
  | { readonly kind: 'status'; readonly code: number; readonly reason: string | undefined; readonly retries: boolean }
  | { readonly kind: 'reset'; readonly code: number | undefined };

/** Connections of `node:http2`, which hold no call back but for what the server allows. */
export async function connectRaw(address: string, count: number): Promise<AsyncDisposable & RawConnections> {
  const sessions = await Promise.all(
    Array.from({ length: count }, async () => {
      const options = { peerMaxConcurrentStreams: 1_000_000, maxSessionMemory: 10_000 };
      const session = connect(`http://${address}`, options);
      // Told by each of its streams.
      session.on('error', () => {});
      await once(session, 'remoteSettings');
      return session;
    }),
  );
  const at = (index: number): ClientHttp2Session => {
    const session = sessions[index % sessions.length];
    if (session === undefined) throw new Error('there is one at least');
    return session;
  };
  return {
    open: (index, path) => openCall(at(index), path),
    call: async (index, path, message) => {
      const stream = openCall(at(index), path);
      const end = endOf(stream);
      stream.resume();
      stream.end(frameOf(message));
      return await end;
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(
        sessions.map(async (session) => {
          if (session.destroyed) return;
          session.destroy();
          await once(session, 'close');
        }),
      );
    },
  };
}

export interface RawConnections {
  /** Makes a call over one connection, by turns of the index. */
  call(index: number, path: string, message: Uint8Array): Promise<RawEnd>;
  /** Begins a call; nothing of its answer is read unless the test does. */
  open(index: number, path: string): ClientHttp2Stream;
}

function openCall(session: ClientHttp2Session, path: string): ClientHttp2Stream {
  const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
  const stream = session.request({ ...headers, 'grpc-timeout': '600S' });
  stream.on('error', () => {});
  return stream;
}

function endOf(stream: ClientHttp2Stream): Promise<RawEnd> {
  let end: RawEnd | undefined;
  const take = (headers: Readonly<Record<string, unknown>>): void => {
    if (headers['grpc-status'] !== undefined) end = statusEnd(headers);
  };
  stream.on('response', take);
  stream.on('trailers', take);
  return new Promise((resolve) => {
    stream.on('close', () => resolve(end ?? { kind: 'reset', code: stream.rstCode }));
  });
}

function statusEnd(headers: Readonly<Record<string, unknown>>): RawEnd {
  const encoded = headers['grpc-status-details-bin'];
  const { details } = Status.decode(Buffer.from(typeof encoded === 'string' ? encoded : '', 'base64'));
  const find = (name: string): Buffer | undefined => details.find(({ typeUrl }) => typeUrl.endsWith(name))?.value;
  const info = find('google.rpc.ErrorInfo');
  const retry = find('google.rpc.RetryInfo');
  return {
    kind: 'status',
    code: Number(headers['grpc-status']),
    reason: info && ErrorInfo.decode(info).reason,
    retries: retry !== undefined && RetryInfo.decode(retry).retryDelay !== undefined,
  };
}
