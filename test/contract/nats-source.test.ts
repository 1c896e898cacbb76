import { afterAll, afterEach, beforeAll } from 'vitest';
import type { ChangeSource } from '../../sidecar/sync/change-source.ts';
import { NatsSource } from '../../sidecar/sync/nats-source.ts';
import { systemClock, type Clock } from '../../src/platform/clock.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { connectNats } from '../../src/platform/nats/connect-nats.ts';
import { afterSockets } from '../../src/platform/turns.ts';
import { SidecarHistory } from '../fakes/sidecar-history.ts';
import { provideNatsServer, type TestNats } from '../support/nats.ts';
import { StreamPublisher } from '../support/stream-publisher.ts';
import { changeSourceContract } from '../unit/sidecar/change-source.contract.ts';

let nats: TestNats;
const owned = new AsyncDisposableStack();

beforeAll(async () => {
  nats = owned.use(await (await provideNatsServer()).start());
});
afterAll(async () => await owned.disposeAsync());

/** No time passes, so that a staleness is exactly the relay's; and nobody waits long for the next question. */
const standingClock: Clock = {
  ...systemClock,
  monotonicMs: () => 0,
  sleep: async (durationMs, signal) => await systemClock.sleep(Math.min(durationMs, 5), signal),
};

const logger = createLogger('sidecar', 'silent');
let current = new AsyncDisposableStack();
afterEach(async () => {
  await current.disposeAsync();
  current = new AsyncDisposableStack();
});

changeSourceContract('the change stream on NATS', () => {
  const link = current.use(connectNats({ url: nats.url, name: 'contract', logger }));
  const source = new NatsSource({
    link,
    consumerName: 'sidecar_contract',
    clock: standingClock,
    random: () => 0.5,
    schedule: afterSockets,
    logger,
    // An answer that comes too late would make what is told unproven.
    joiningAskMsMax: 3_000,
  });
  const followings: { readonly tenant: string; readonly ended: Promise<unknown> }[] = [];
  const tracked: ChangeSource = {
    follow: (tenant, ...rest) => {
      const ended = source.follow(tenant, ...rest);
      followings.push({ tenant, ended });
      return ended;
    },
  };
  const connecting = StreamPublisher.connect(nats.url);
  current.defer(async () => {
    const publisher = await connecting;
    await publisher.remove('acme').catch(() => {});
    await publisher[Symbol.asyncDispose]();
  });
  return {
    source: tracked,
    proves: { changes: false, ranges: true },
    play: async (count) => {
      const publisher = await connecting;
      const following = followings[count - 1];
      if (following === undefined) throw new Error('followed before it is played');
      const { tenant, ended } = following;
      // Two questions later it has seen what was told before the first, and one more if it had to look into the stream.
      const settled = async (): Promise<void> => await Promise.race([publisher.asked(tenant, 4), ended.then(() => {})]);
      const snapshot = async (history: SidecarHistory, stalenessMs: number): Promise<void> => {
        publisher.answer(tenant, { kind: 'position', history, stalenessMs });
        await publisher.publishAll(history);
        await settled();
      };
      let last = new SidecarHistory(tenant);
      let isFilled = false;
      return {
        snapshot: async (history, stalenessMs) => {
          last = history;
          isFilled = true;
          await snapshot(history, stalenessMs);
        },
        changes: async ({ changes, coalescedAfter }, stalenessMs) => {
          await publisher.put(changes);
          await publisher.close(last);
          publisher.answer(tenant, { kind: 'position', history: last, stalenessMs });
          publisher.tell(last, coalescedAfter === undefined ? changes : []);
          await settled();
        },
        confirmed: async (history, stalenessMs) => {
          if (!isFilled) await publisher.publishAll(history);
          publisher.answer(tenant, { kind: 'position', history, stalenessMs });
          await settled();
        },
        breakOff: () => void link[Symbol.asyncDispose](),
        refuseResume: () => void snapshot(new SidecarHistory(tenant, 'another'), 0),
        sayNotFound: () => publisher.answer(tenant, { kind: 'tenant_not_found' }),
      };
    },
  };
});
