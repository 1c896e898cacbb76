import type { Instant } from '../../src/platform/grpc/handlers.ts';
import type { ServiceOptions } from '../../src/platform/grpc/service.ts';
import type { AlarmClock } from '../wire/alarm.ts';
import type { ServerCall } from '../wire/grpc/server-call.ts';
import { okStatus } from '../wire/grpc/status-code.ts';
import { HeaderField } from '../wire/hpack/header-field.ts';
import type { CallPlace } from './call-place.ts';
import type { WireContext } from './wire-context.ts';

type Options = ServiceOptions & { readonly clock: AlarmClock };

/** A method of a service, as the engine's calls need it. */
export type Bound = {
  readonly path: string;
  readonly decode: (bytes: Buffer) => unknown;
  readonly serialize: (response: unknown) => Uint8Array;
  readonly instant: Instant | undefined;
  readonly place: CallPlace;
  readonly options: Options;
};

type Ending = { readonly call: ServerCall; readonly context: WireContext; readonly bound: Bound };

/** Ends a call whose handler has said all it had to say. */
export function end({ call, context, bound }: Ending): void {
  call.finish(okStatus, context.trailers);
  resetUnread(call, bound.options);
}

/** Ends a call whose handler has failed. */
export function fail(error: unknown, { call, context, bound }: Ending): void {
  // After a cancellation nobody reads the status, and the error is only its echo.
  if (context.isOver) return;
  const { options, path } = bound;
  const status = options.statusOf(error, { method: path, correlationId: context.correlationId });
  const details = new HeaderField('grpc-status-details-bin', Buffer.from(status.statusDetails).toString('base64'));
  call.finish({ code: status.code, message: status.details }, [...context.trailers, details]);
  resetUnread(call, options);
}

/** A status goes out behind the messages before it, which a client that does not read keeps where they are: for ever, if it may. */
function resetUnread(call: ServerCall, { clock, statusLingerMs }: Options): void {
  if (!call.isWaiting) return;
  const ring = (): void => call.abort('ENHANCE_YOUR_CALM');
  clock.arm({ dueMs: 0, ring }, clock.monotonicMs() + statusLingerMs);
}
