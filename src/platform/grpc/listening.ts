import type { CallStatus } from './service.ts';

/** How an address is listened on, and what it asks of those who connect to it. Nothing given: plain text, open to all. */
export type ListenOptions = {
  /** Of a unix socket: whose members may use it too. */
  readonly groupId?: number | undefined;
  /** Only those who speak TLS get in. */
  readonly tls?: TlsIdentity | undefined;
  /** Only the calls that it lets pass are looked at further. */
  readonly guard?: CallGuard | undefined;
};

/** What a server proves itself with, in PEM, and whom it believes. */
export type TlsIdentity = {
  /** With those that lead to an authority, if its issuer is none. */
  readonly certificate: Buffer;
  readonly key: Buffer;
  /** Authorities: clients must have a certificate of one of them. Undefined: they need none. */
  readonly clientAuthorities: Buffer | undefined;
};

/**
 * Looks at a call before any handler does, and before its messages have come: how it is refused; undefined: it may go on. A call of
 * a method that nobody serves may be refused as that before.
 */
export type CallGuard = (path: string, headers: CallHeaders) => RefusedCall | undefined;

/** The first value of a header, by its name in small letters. */
export type CallHeaders = { get(name: string): string | undefined };

export type RefusedCall = CallStatus & { readonly correlationId: string };
