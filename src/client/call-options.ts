/** How one call is made; everything is optional. */
export interface CallOptions {
  /**
   * Milliseconds until the call fails with DEADLINE_EXCEEDED; 0 or less: it is not sent; `Infinity` for never. Default: 5,000 for
   * a call with one answer, none for a stream.
   */
  readonly timeoutMs?: number | undefined;
  /**
   * Cancels the call when aborted: it fails with CANCELLED, and the signal's reason is the `cause`. Of a stream nothing comes any
   * more then, also not what had come before.
   */
  readonly signal?: AbortSignal | undefined;
  /** Sent as `x-correlation-id`, and then in every log and in the change log. Default: the server makes one. */
  readonly correlationId?: string | undefined;
  /** Who is calling, sent as `x-actor`, for the audit log. Default: what the server makes of the connection. */
  readonly actor?: string | undefined;
  /** A credential, sent as `authorization: Bearer`. */
  readonly token?: string | undefined;
  /**
   * More metadata, by lower-case name; values are printable ASCII, without spaces around them. What gRPC says itself (`te`, `content-type`, `user-agent`,
   * `grpc-timeout` and the like) is left out, and names of HTTP's own (`host`, `connection`) are refused.
   */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** `over` where it says something, else `under`; the metadata of both, that of `over` winning. */
export function mergeCallOptions(under: CallOptions, over: CallOptions): CallOptions {
  return {
    timeoutMs: over.timeoutMs ?? under.timeoutMs,
    signal: anyOf(under.signal, over.signal),
    correlationId: over.correlationId ?? under.correlationId,
    actor: over.actor ?? under.actor,
    token: over.token ?? under.token,
    metadata: mergeMetadata(under.metadata, over.metadata),
  };
}

function anyOf(first: AbortSignal | undefined, second: AbortSignal | undefined): AbortSignal | undefined {
  if (first === undefined || second === undefined) return first ?? second;
  return AbortSignal.any([first, second]);
}

function mergeMetadata(under: CallOptions['metadata'], over: CallOptions['metadata']): CallOptions['metadata'] {
  if (under === undefined || over === undefined) return over ?? under;
  return { ...under, ...over };
}
