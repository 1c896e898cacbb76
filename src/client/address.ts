import { TrafficManagerError } from './traffic-manager-error.ts';

const hostAndPort =
  /^(?:grpc:\/\/)?(?<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[-A-Za-z0-9._]*[A-Za-z0-9])?):(?<port>\d{1,5})$/;
const unixSocket = /^unix:(?:\/\/)?(?<path>\/.+)$/;

/**
 * The gRPC target (https://github.com/grpc/grpc/blob/master/doc/naming.md) of an address as people write it: `host:port`,
 * `grpc://host:port` or `unix:/path`; an IPv6 host stands in brackets.
 *
 * @throws TrafficManagerError INVALID_ARGUMENT with a violation of `address` when it is none of them.
 */
export function parseAddress(address: string): string {
  const socketPath = unixSocket.exec(address)?.groups?.['path'];
  if (socketPath !== undefined) return `unix:${socketPath}`;
  const { host, port } = hostAndPort.exec(address)?.groups ?? {};
  if (host !== undefined && port !== undefined && isPort(Number(port))) {
    // Without the scheme a host named `unix` or `xds` would be read as one.
    return `dns:${host}:${port}`;
  }
  const description = `must be host:port, grpc://host:port or unix:/path, not "${address}"`;
  throw new TrafficManagerError({
    code: 'INVALID_ARGUMENT',
    message: `The address ${description}.`,
    fieldViolations: [{ field: 'address', description }],
  });
}

function isPort(port: number): boolean {
  return port > 0 && port <= 65_535;
}
