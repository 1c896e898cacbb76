import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { frontScript, scriptOf } from '../support/sidecar-wire/front-scripts.ts';
import { TwoFronts } from '../support/sidecar-wire/two-fronts.ts';

// grpc-js is the oracle. Where a front of our own differs and means to: `integration/sidecar-front-oracle`.

let fronts: TwoFronts;
beforeAll(async () => {
  fronts = await TwoFronts.start();
});
afterAll(async () => await fronts[Symbol.asyncDispose]());

it('answers calls as grpc-js does, whatever they are like, between each other, wherever their bytes are cut', async () => {
  await fc.assert(
    fc.asyncProperty(frontScript, async (drawn) => {
      const script = scriptOf(drawn);
      const [reference, wire] = [await fronts.ask('grpc-js', script), await fronts.ask('wire', script)];
      expect(reference).toBeDefined();
      expect(wire).toEqual(reference);
      // No handler waits for a caller that has gone.
      await fronts.settled();
    }),
    { numRuns: 150, seed: 20_261_122 },
  );
});
