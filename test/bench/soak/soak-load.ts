import { seededRandom } from '../../fakes/seeded-random.ts';
import { WheelClock } from '../../../sidecar/front/wheel-clock.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { SoakCaller } from './soak-caller.ts';
import { SoakRequests } from './soak-requests.ts';
import { SoakTally } from './soak-tally.ts';

// Calls BENCH_ADDRESS, a sidecar with BENCH_ROUTES routes. Asked for `capacity` it says how many calls a second go when it calls as
// fast as it can, and goes on with half of that until its parent is gone; asked for `counts`, what came of them since.
const callerCount = 8;
const inFlightMax = 2_000;
const depth = 64;
const capacitySeconds = 5;
const tickMs = 5;
const cutEveryMs = 250;

const requests = new SoakRequests(
  seededRandom(Number(process.env['BENCH_SEED'] ?? '1')),
  Number(process.env['BENCH_ROUTES']),
);
const tally = new SoakTally();
const options = { address: process.env['BENCH_ADDRESS'] ?? '', clock: new WheelClock(systemClock), requests, tally };
const callers = Array.from({ length: callerCount }, () => new SoakCaller(options));
let inFlight = 0;

async function callOnce(): Promise<void> {
  inFlight++;
  await callers[requests.below(callers.length)]?.call();
  inFlight--;
}

async function capacity(): Promise<number> {
  const endMs = performance.now() + capacitySeconds * 1_000;
  let calls = 0;
  const loop = async (): Promise<void> => {
    for (; performance.now() < endMs; calls++) await callOnce();
  };
  await Promise.all(Array.from({ length: depth }, loop));
  return calls / capacitySeconds;
}

function keepCalling(perSecond: number): void {
  let lastMs = performance.now();
  let due = 0;
  setInterval(() => {
    const nowMs = performance.now();
    due = Math.min(inFlightMax, due + ((nowMs - lastMs) * perSecond) / 1_000);
    lastMs = nowMs;
    for (; due >= 1 && inFlight < inFlightMax; due--) void callOnce();
  }, tickMs);
  setInterval(() => callers[requests.below(callers.length)]?.cut(), cutEveryMs);
}

process.on('message', (message) => {
  if (message === 'counts') process.send?.({ ...tally.take(), inFlight });
  if (message === 'capacity')
    void capacity().then((perSecond) => {
      tally.take();
      keepCalling(perSecond / 2);
      process.send?.(perSecond);
    });
});
process.once('disconnect', () => process.exit(0));
process.send?.({ address: options.address });
