import type { Clock } from '../../src/platform/clock.ts';
import type { Schedule } from '../../src/platform/turns.ts';
import type { Front, FrontKind, FrontOptions } from './front.ts';
import { createGrpcJsFront } from './grpc-js-front.ts';
import { createWireFront } from './wire-front.ts';

export type CreateFrontOptions = FrontOptions & {
  readonly kind: FrontKind;
  readonly clock: Clock;
  readonly schedule: Schedule;
};

/** The front that is configured. */
export function createFront({ kind, ...options }: CreateFrontOptions): Front {
  switch (kind) {
    case 'grpc-js':
      return createGrpcJsFront(options);
    case 'wire':
      return createWireFront(options);
  }
}
