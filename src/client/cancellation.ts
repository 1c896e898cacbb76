import { TrafficManagerError } from './traffic-manager-error.ts';

/** Cancels `call` when the signal aborts, until the returned function is called. A long-lived signal keeps no finished calls. */
export function cancelOnAbort(call: { cancel(): void }, signal: AbortSignal | undefined): () => void {
  if (signal === undefined) return () => undefined;
  const cancel = () => call.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  return () => signal.removeEventListener('abort', cancel);
}

/** @throws TrafficManagerError CANCELLED when the signal has aborted: such a call is not sent at all. */
export function throwIfAborted(signal: AbortSignal | undefined, correlationId: string | undefined): void {
  if (signal?.aborted === true) throw cancelledBySignal(signal, correlationId);
}

/** What a call throws that its caller's signal ended. */
export function cancelledBySignal(signal: AbortSignal, correlationId: string | undefined): TrafficManagerError {
  return new TrafficManagerError({
    code: 'CANCELLED',
    message: 'The caller cancelled the call.',
    correlationId,
    cause: signal.reason,
  });
}
