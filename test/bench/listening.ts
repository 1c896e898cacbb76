/** Where the server of a bench listens, and how. */
export type Listening = {
  /** Of a unix socket; undefined: a free port of loopback. */
  readonly socketPath: string | undefined;
  /** In PEM; undefined: plain text. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
};

/** As its process was told. */
export function readListening({ BENCH_SOCKET, BENCH_CERTIFICATE, BENCH_KEY }: NodeJS.ProcessEnv): Listening {
  const isSecure = BENCH_CERTIFICATE !== undefined && BENCH_KEY !== undefined;
  return { socketPath: BENCH_SOCKET, tls: isSecure ? { cert: BENCH_CERTIFICATE, key: BENCH_KEY } : undefined };
}

/** Tells it to a process. */
export function variablesOf({ socketPath, tls }: Listening): Record<string, string> {
  return {
    ...(socketPath === undefined ? {} : { BENCH_SOCKET: socketPath }),
    ...(tls === undefined ? {} : { BENCH_CERTIFICATE: tls.cert, BENCH_KEY: tls.key }),
  };
}
