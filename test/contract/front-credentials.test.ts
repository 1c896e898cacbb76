import { createFront } from '../../sidecar/front/create-front.ts';
import { frontKinds } from '../../sidecar/front/front.ts';
import { systemClock as clock } from '../../src/platform/clock.ts';
import { afterSockets as schedule } from '../../src/platform/turns.ts';
import { describeFrontCredentials } from './front-credentials.contract.ts';

for (const kind of frontKinds)
  describeFrontCredentials(kind, (options) => createFront({ kind, clock, schedule, ...options }));
