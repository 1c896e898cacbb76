import { status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import type { Front } from '../../sidecar/front/front.ts';
import { ResolverServiceService } from '../../src/gen/trafficmanager/v1/resolver_service.ts';
import { WatchServiceService } from '../../src/gen/trafficmanager/v1/watch_service.ts';
import { ScriptedServices } from '../fakes/sidecar-scripted-services.ts';
import { FrontCaller, framesOf } from '../support/sidecar-wire/front-caller.ts';
import { messageOf, pseudoOf, usualFields } from '../support/sidecar-wire/spoken-calls.ts';

const half = messageOf('hello').subarray(0, 7);

/** A part of the contract of {@link Front}: the deadline of a call counts from its headers, whether its request ever comes or not. */
export function describeHalfSentCalls(name: string, create: () => Promise<Front>): void {
  describe(`calls of a front over ${name} that never come whole`, () => {
    test.each([
      ['a unary call', 'nothing', ResolverServiceService.resolve.path, []],
      ['a unary call', 'half of its message', ResolverServiceService.resolve.path, [half]],
      ['a call for a stream', 'half of its message', WatchServiceService.watch.path, [half]],
    ])('ends %s at its deadline of which %s has come', async (_shape, _said, path, body) => {
      await using front = await create();
      const script = new ScriptedServices();
      script.serve(front);
      using caller = await FrontCaller.open(await front.listen('127.0.0.1:0'));
      const fields = [...pseudoOf(path), ...usualFields, ['grpc-timeout', '50m'] as const];
      // Without the last frame, which would end it.
      await caller.write(framesOf(1, { fields, body, end: 'empty_data' }).slice(0, -1));
      const { lists } = await caller.heard(1);
      expect(lists.at(-1)?.['grpc-status']).toBe(String(status.DEADLINE_EXCEEDED));
      expect(script.contexts).toEqual([]);
      expect(await caller.isAlive()).toBe(true);
    });
  });
}
