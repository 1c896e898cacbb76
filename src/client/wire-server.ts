import { createConnection, isIP, type NetConnectOpts, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { connectInPlace } from '../platform/connect-in-place.ts';
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
    return { authority: tls?.serverName ?? 'localhost', connect: dialer({ path }, tls, {}) };
  }
  const authority = target.replace(/^dns:/, '');
  const at = authority.lastIndexOf(':');
  const host = authority.slice(0, at).replace(/^\[|\]$/g, '');
  const port = Number(authority.slice(at + 1));
  return { authority: tls?.serverName ?? authority, connect: dialer({ host, port, noDelay: true }, tls, { host }) };
}

/** TLS takes the bytes of its socket out of the socket's hands; it has its own way to read them. */
function dialer(to: NetConnectOpts, tls: TlsSettings | undefined, named: { readonly host?: string }): () => Socket {
  if (tls === undefined) return () => connectInPlace(to);
  return secured(() => createConnection(to), tls, named);
}

/** Both sides choose HTTP/2 by ALPN (RFC 9113 §3.2), or the connection is none. */
function secured(dial: () => Socket, tls: TlsSettings, to: { readonly host?: string }): () => Socket {
  const { authorities: ca, certificate: cert, key } = tls;
  // RFC 6066 §3: the name that is asked for is never an address.
  const servername = tls.serverName ?? (isIP(to.host ?? '') === 0 ? to.host : undefined);
  return () => {
    const named = servername === undefined ? to : { ...to, servername };
    const socket = connectTls({ ...named, socket: dial(), ca, cert, key, ALPNProtocols: ['h2'] });
    socket.once('secureConnect', () => {
      if (socket.alpnProtocol !== 'h2') socket.destroy(new Error('the server does not speak HTTP/2'));
    });
    return socket;
  };
}
