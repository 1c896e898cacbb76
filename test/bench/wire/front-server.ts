import { createWireFront } from '../../../sidecar/front/wire-front.ts';
import {
  ResolveResponse,
  ResolverServiceService,
  StreamResolveResponse,
} from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import type { Instant } from '../../../src/platform/grpc/handlers.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { afterSockets as schedule } from '../../../src/platform/turns.ts';
import { serviceOptions } from '../../../src/serving/service-options.ts';
import { answerAtOnce } from '../../support/answer-at-once.ts';
import { constantAnswer } from './constant-answer.ts';

// What a sidecar's front costs without its lookups: the same bytes to everything that is asked, at once.
const front = createWireFront({ clock: systemClock, schedule, drainMs: 0 });
const answering =
  (answer: Uint8Array): Instant =>
  (_request, place) =>
    answerAtOnce(place, answer);
const answer = answering(constantAnswer);
const batch = answering(
  StreamResolveResponse.encode({
    results: [{ result: { $case: 'response', value: ResolveResponse.decode(constantAnswer) } }],
  }).finish(),
);
const neverAsked = (): Promise<never> => Promise.reject(new Error('an instant answers everything'));
front.serve(
  ResolverServiceService,
  {
    resolve: neverAsked,
    batchResolve: neverAsked,
    streamResolve: async (requests) => {
      for await (const _request of requests) await neverAsked();
    },
  },
  {
    ...serviceOptions({ logger: createLogger('front', 'silent'), draining: front.draining }),
    instants: { resolve: answer, batchResolve: batch, streamResolve: batch },
  },
);
const address = await front.listen('127.0.0.1:0');
process.send?.({ address });
process.once('disconnect', () => process.exit(0));
