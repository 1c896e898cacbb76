import { createServer } from 'node:net';
import { StartError } from './start-error.ts';

/** Where something listens or is to listen. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** Whether one could listen there now; `reason` is the system's code, such as `EADDRINUSE` or `EACCES`. */
export type Availability = { readonly kind: 'free' } | { readonly kind: 'taken'; readonly reason: string };

/** Reads `host:port` or `[host]:port` (IPv6). */
export function parseListenAddress(text: string, name: string): ListenAddress {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host === undefined || !(port >= 1 && port <= 65_535)) {
    throw new StartError(`${name}=${text} is no address: it must be host:port, such as 127.0.0.1:7400`);
  }
  return { host, port };
}

/** The other way round. */
export function formatListenAddress(address: ListenAddress): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** How a client on this machine reaches it: an address that means "every interface" is no destination. */
export function dialAddress(address: ListenAddress): ListenAddress {
  if (address.host === '0.0.0.0') return { host: '127.0.0.1', port: address.port };
  if (address.host === '::') return { host: '::1', port: address.port };
  return address;
}

/** Tries to listen there, and stops at once. */
export async function probeAddress(address: ListenAddress): Promise<Availability> {
  return await new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      resolve({ kind: 'taken', reason: error.code ?? error.message });
    });
    server.listen({ host: address.host, port: address.port, exclusive: true }, () => {
      server.close(() => {
        resolve({ kind: 'free' });
      });
    });
  });
}

/** Refuses in one line when nobody could listen there; `setting` is what moves it elsewhere. */
export async function requireFreeAddress(address: ListenAddress, setting: string): Promise<void> {
  const availability = await probeAddress(address);
  if (availability.kind === 'free') return;
  const text = formatListenAddress(address);
  if (availability.reason === 'EADDRINUSE') {
    throw new StartError(`${text} is in use; stop what listens there or set ${setting}`);
  }
  if (availability.reason === 'EACCES') {
    throw new StartError(`${text} may not be listened on by this user; set ${setting} to a port above 1023`);
  }
  throw new StartError(
    `${text} cannot be listened on (${availability.reason}); set ${setting} to an address of this machine`,
  );
}

/** A loopback port that was free a moment ago; whoever uses it must be ready to find it taken and ask again. */
export async function findFreePort(): Promise<number> {
  return await new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port: 0 }, () => {
      const address = server.address();
      server.close(() => {
        if (address === null || typeof address === 'string') reject(new Error('a TCP server has a TCP address'));
        else resolve(address.port);
      });
    });
  });
}
