import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Route as WireRoute } from '../../src/gen/trafficmanager/v1/route.ts';
import { TrafficPolicy as WirePolicy } from '../../src/gen/trafficmanager/v1/traffic_policy.ts';
import { policyBytesAtMost, routeBytesAtMost } from '../../src/serving/message-size.ts';
import { routeToWire } from '../../src/wire/route-wire.ts';
import { policyToWire } from '../../src/wire/traffic-policy-wire.ts';
import { route } from './configuration-arbitraries.ts';
import { wholePolicy } from './traffic-policy-arbitraries.ts';

// A run that fails prints its seed and path: `fc.assert(…, { seed, path })` replays it.

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
    fc.property(wholePolicy, (sent) => {
      expect(WirePolicy.encode(policyToWire(sent)).finish().length).toBeLessThanOrEqual(policyBytesAtMost(sent));
    }),
    { numRuns: 500 },
  );
});
