/** How a connection is made secret. Everything is PEM. */
export interface TlsSettings {
  /** Who may vouch for the server. Default: the authorities that Node knows. */
  readonly authorities?: string | Buffer | undefined;
  /** What the client shows of itself, and its key; both or none. Default: none. */
  readonly certificate?: string | Buffer | undefined;
  readonly key?: string | Buffer | undefined;
  /** The name that the server's certificate must have. Default: the host of the address. */
  readonly serverName?: string | undefined;
}
