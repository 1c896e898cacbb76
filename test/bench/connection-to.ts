/** How to connect to the address of a server: `host:port`, or `unix:` and the path of a socket. */
export function connectionTo(address: string): { host: string; port: number } | { path: string } {
  if (address.startsWith('unix:')) return { path: address.slice('unix:'.length) };
  const [host = '', port = ''] = address.split(':');
  return { host, port: Number(port) };
}
