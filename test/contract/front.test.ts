import { createFront } from '../../sidecar/front/create-front.ts';
import { frontKinds } from '../../sidecar/front/front.ts';
import { systemClock as clock } from '../../src/platform/clock.ts';
import { afterSockets as schedule } from '../../src/platform/turns.ts';
import { describeFront } from './front.contract.ts';
import { describeHalfSentCalls } from './front-half-sent.contract.ts';

for (const kind of frontKinds) {
  describeFront(kind, (options) => createFront({ kind, clock, schedule, ...options }));
  describeHalfSentCalls(kind, () => createFront({ kind, clock, schedule, drainMs: 0 }));
}
