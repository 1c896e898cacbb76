import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Change as WireChange } from '../../src/gen/trafficmanager/v1/change.ts';
import { Route as WireRoute } from '../../src/gen/trafficmanager/v1/route.ts';
import { TrafficPolicy as WirePolicy } from '../../src/gen/trafficmanager/v1/traffic_policy.ts';
import { changeBytesAtMost, policyBytesAtMost, routeBytesAtMost } from '../../src/serving/message-size.ts';
import { changeToWire } from '../../src/wire/change-wire.ts';
import { routeToWire } from '../../src/wire/route-wire.ts';
import { policyToWire } from '../../src/wire/traffic-policy-wire.ts';
import { change, policy, route } from './configuration-arbitraries.ts';

// A run that fails prints its seed and path: `fc.assert(…, { seed, path })` replays it.

test('a change takes no more bytes than it is said to take at most', () => {
  fc.assert(
    fc.property(change, (sent) => {
      expect(WireChange.encode(changeToWire(sent)).finish().length).toBeLessThanOrEqual(changeBytesAtMost(sent));
    }),
    { numRuns: 500 },
  );
});

test('a route takes no more bytes than it is said to take at most', () => {
  fc.assert(
    fc.property(route, (sent) => {
      expect(WireRoute.encode(routeToWire(sent)).finish().length).toBeLessThanOrEqual(routeBytesAtMost(sent));
    }),
    { numRuns: 500 },
  );
});

test('a traffic policy takes no more bytes than it is said to take at most', () => {
  fc.assert(
    fc.property(policy, (sent) => {
      expect(WirePolicy.encode(policyToWire(sent)).finish().length).toBeLessThanOrEqual(policyBytesAtMost(sent));
    }),
    { numRuns: 500 },
  );
});
