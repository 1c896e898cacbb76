import { createConnection, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { TlsSettings } from './tls-settings.ts';

/** A server as the engine's client wants it. */
export type WireServerAddress = {
  readonly authority: string;
  /** Makes a socket that is about to be connected. */
  readonly connect: () => Socket;
};

/** The server of a gRPC target, as `parseAddress` makes it. */
export function wireServerOf(target: string, tls: TlsSettings | undefined): WireServerAddress {
  if (target.startsWith('unix:')) {
    const path = target.slice('unix:'.length);
    const dial = (): Socket => createConnection({ path });
    return { authority: tls?.serverName ?? 'localhost', connect: tls === undefined ? dial : secured(dial, tls, {}) };
  }
  const authority = target.replace(/^dns:/, '');
  const at = authority.lastIndexOf(':');
  const host = authority.slice(0, at).replace(/^\[|\]$/g, '');
  const port = Number(authority.slice(at + 1));
  const dial = (): Socket => createConnection({ host, port, noDelay: true });
  if (tls === undefined) return { authority, connect: dial };
  return { authority: tls.serverName ?? authority, connect: secured(dial, tls, { host }) };
}

/** Both sides choose HTTP/2 by ALPN (RFC 9113 §3.2), or the connection is none. */
function secured(dial: () => Socket, tls: TlsSettings, to: { readonly host?: string }): () => Socket {
  const { authorities: ca, certificate: cert, key, serverName: servername } = tls;
  return () => {
    const named = servername === undefined ? to : { ...to, servername };
    const socket = connectTls({ ...named, socket: dial(), ca, cert, key, ALPNProtocols: ['h2'] });
    socket.once('secureConnect', () => {
      if (socket.alpnProtocol !== 'h2') socket.destroy(new Error('the server does not speak HTTP/2'));
    });
    return socket;
  };
}
