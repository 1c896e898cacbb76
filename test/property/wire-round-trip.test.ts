import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Change } from '../../src/domain/change.ts';
import type { Freshness } from '../../src/domain/freshness.ts';
import type { Route } from '../../src/domain/route.ts';
import type { Tenant } from '../../src/domain/tenant.ts';
import { Change as WireChange } from '../../src/gen/trafficmanager/v1/change.ts';
import { FreshnessSource, ResolveResponse, SelectionReason } from '../../src/gen/trafficmanager/v1/resolver_service.ts';
import { Route as WireRoute } from '../../src/gen/trafficmanager/v1/route.ts';
import { Tenant as WireTenant } from '../../src/gen/trafficmanager/v1/tenant.ts';
import { TrafficPolicy as WirePolicy } from '../../src/gen/trafficmanager/v1/traffic_policy.ts';
import { changeFromWire, changeToWire } from '../../src/wire/change-wire.ts';
import { receiveChange, ReceivedChange } from '../../src/wire/received-change.ts';
import { ReceivedRoute } from '../../src/wire/received-route.ts';
import { encodeResolution, encodeRouteAnswer, etagOfRouteAnswer } from '../../src/wire/resolve-wire.ts';
import { routeFromWire, routeToWire } from '../../src/wire/route-wire.ts';
import { tenantFromWire, tenantToWire } from '../../src/wire/tenant-wire.ts';
import { policyFromWire, policyToWire } from '../../src/wire/traffic-policy-wire.ts';
import { encodeChange } from '../../src/wire/watch-wire.ts';
import { change, policy, route, tenant } from './configuration-arbitraries.ts';

// A run that fails prints its seed and path: `fc.assert(…, { seed, path })` replays it.

/** What a route is to another process: what a deleted one would come back to is the control plane's to know. */
function asTravelled(sent: Route): Route {
  if (sent.lifecycle.state !== 'DELETED') return sent;
  return { ...sent, lifecycle: { state: 'DELETED', deletedFrom: 'INACTIVE' } };
}

/** What a tenant is to another process: when it itself last changed is the control plane's to know. */
function tenantAsTravelled(sent: Tenant): Tenant {
  return { ...sent, ownRevision: 0 };
}

function changeAsTravelled(sent: Change): Change {
  const { subject } = sent;
  if (subject.kind === 'tenant') {
    const before = subject.before && tenantAsTravelled(subject.before);
    return { ...sent, subject: { ...subject, before, after: tenantAsTravelled(subject.after) } };
  }
  if (subject.kind !== 'route') return sent;
  const before = subject.before && asTravelled(subject.before);
  return { ...sent, subject: { ...subject, before, after: asTravelled(subject.after) } };
}

test('a route comes out of its bytes as it went in', () => {
  fc.assert(
    fc.property(route, (sent) => {
      const bytes = WireRoute.encode(routeToWire(sent)).finish();
      expect(routeFromWire(WireRoute.decode(bytes))).toEqual(asTravelled(sent));
    }),
    { numRuns: 500 },
  );
});

test('the etag of a route is found among its bytes, wherever they stand', () => {
  fc.assert(
    fc.property(route, fc.oneof(fc.constant(''), fc.string()), (sent, etag) => {
      const bytes = encodeRouteAnswer({ ...sent, etag });
      const amongOthers = Buffer.concat([Buffer.alloc(3, 0xff), bytes, Buffer.alloc(3, 0x2a)]);
      expect(etagOfRouteAnswer(amongOthers, 3, 3 + bytes.length)).toBe(etag);
    }),
  );
});

test('of a route that says its etag twice the last one counts, among its bytes too', () => {
  fc.assert(
    fc.property(route, fc.string({ minLength: 1 }), (sent, etag) => {
      const twice = Buffer.concat([
        WireRoute.encode(routeToWire(sent)).finish(),
        WireRoute.encode(routeToWire({ ...sent, etag })).finish(),
      ]);
      const received = new ReceivedRoute(twice, 0, twice.length);
      const answer = received.encodeAnswer();
      expect(received.etag).toBe(etag);
      expect(etagOfRouteAnswer(answer, 0, answer.length)).toBe(etag);
    }),
  );
});

test('a deleted route says when it was deleted, and no other does', () => {
  fc.assert(
    fc.property(route, (sent) => {
      const { deleteTime, updateTime } = WireRoute.decode(WireRoute.encode(routeToWire(sent)).finish());
      expect(deleteTime).toEqual(sent.lifecycle.state === 'DELETED' ? updateTime : undefined);
    }),
  );
});

test('a traffic policy comes out of its bytes as it went in', () => {
  fc.assert(
    fc.property(policy, (sent) => {
      const bytes = WirePolicy.encode(policyToWire(sent)).finish();
      expect(policyFromWire(WirePolicy.decode(bytes))).toEqual(sent);
    }),
    { numRuns: 500 },
  );
});

test('a tenant comes out of its bytes as it went in', () => {
  fc.assert(
    fc.property(tenant, (sent) => {
      expect(tenantFromWire(WireTenant.decode(WireTenant.encode(tenantToWire(sent)).finish()))).toEqual(
        tenantAsTravelled(sent),
      );
    }),
  );
});

test('a change comes out of its bytes as it went in', () => {
  fc.assert(
    fc.property(change, (sent) => {
      const bytes = WireChange.encode(changeToWire(sent)).finish();
      expect(changeFromWire(WireChange.decode(bytes))).toEqual(changeAsTravelled(sent));
    }),
    { numRuns: 500 },
  );
});

test('a change that was received says what it was sent as, before and after it lets go of what was read', () => {
  fc.assert(
    fc.property(change, (sent) => {
      const bytes = Buffer.from(WireChange.encode(changeToWire(sent)).finish());
      const amongOthers = Buffer.concat([Buffer.alloc(3, 0xff), bytes, Buffer.alloc(3, 0x2a)]);
      const received = receiveChange(amongOthers, 3, 3 + bytes.length);
      for (const _ of ['fresh', 'settled']) {
        expect(plain(received)).toEqual(changeAsTravelled(sent));
        if (received instanceof ReceivedChange) received.settle();
      }
      expect(Buffer.from(encodeChange(received))).toEqual(bytes);
    }),
    { numRuns: 500 },
  );
});

test('a route that was received answers with the bytes that encoding it would make', () => {
  fc.assert(
    fc.property(route, (sent) => {
      const bytes = Buffer.from(WireRoute.encode(routeToWire(sent)).finish());
      const received = new ReceivedRoute(bytes, 0, bytes.length);
      expect(plainRoute(received)).toEqual(asTravelled(sent));
      expect(received.encodeAnswer()).toEqual(Buffer.from(encodeRouteAnswer(sent)));
    }),
    { numRuns: 500 },
  );
});

test('a change that was cut off anywhere is refused', () => {
  fc.assert(
    fc.property(change, fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), (sent, share) => {
      const bytes = Buffer.from(WireChange.encode(changeToWire(sent)).finish());
      const cut = Math.floor(bytes.length * share);
      // Where whole fields are left the resource is not among them: it is the last.
      expect(() => receiveChange(bytes, 0, cut)).toThrow(Error);
    }),
    { numRuns: 500 },
  );
});

/** The same as objects: all that is read lazily is asked for. */
function plain(received: Change): Change {
  const { tenant, revision, commitRevision, commitId, action, actor, correlationId, commitTimeMs, subject } = received;
  const head = { tenant, revision, commitRevision, commitId, action, actor, correlationId, commitTimeMs };
  if (subject.kind !== 'route') return { ...head, subject };
  return { ...head, subject: { kind: 'route', before: subject.before, after: plainRoute(subject.after) } };
}

function plainRoute(received: Route): Route {
  const { key, endpoints, labels, lifecycle, revision, etag, createTimeMs, updateTimeMs, updatedBy } = received;
  return { key, endpoints, labels, lifecycle, revision, etag, createTimeMs, updateTimeMs, updatedBy };
}

test('a resolution that is put together from encoded parts decodes as a whole', () => {
  const reasons = {
    KEY: SelectionReason.SELECTION_REASON_KEY,
    SPLIT: SelectionReason.SELECTION_REASON_SPLIT,
    DEFAULT_VERSION: SelectionReason.SELECTION_REASON_DEFAULT_VERSION,
  } as const;
  const sources = {
    SNAPSHOT: FreshnessSource.FRESHNESS_SOURCE_SNAPSHOT,
    CACHE: FreshnessSource.FRESHNESS_SOURCE_CACHE,
    CONTROL_PLANE: FreshnessSource.FRESHNESS_SOURCE_CONTROL_PLANE,
    HISTORY: FreshnessSource.FRESHNESS_SOURCE_HISTORY,
  } as const;
  const freshness: fc.Arbitrary<Freshness> = fc.record({
    source: fc.constantFrom('SNAPSHOT', 'CACHE', 'CONTROL_PLANE', 'HISTORY'),
    revision: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    stalenessMs: fc.double({ min: 0, max: 1e9, noNaN: true }),
    stale: fc.boolean(),
  });
  const resolution = fc.record({
    route,
    policy: fc.option(policy, { nil: undefined }),
    reason: fc.constantFrom('KEY', 'SPLIT', 'DEFAULT_VERSION'),
  });
  fc.assert(
    fc.property(resolution, freshness, (found, fresh) => {
      // Twice: the second time from the parts that the first one kept.
      for (const _ of [1, 2]) {
        const decoded = ResolveResponse.decode(encodeResolution(found, fresh));
        expect(decoded.route && routeFromWire(decoded.route)).toEqual(asTravelled(found.route));
        expect(decoded.trafficPolicy && policyFromWire(decoded.trafficPolicy)).toEqual(found.policy);
        expect(decoded.selectionReason).toBe(reasons[found.reason]);
        expect(decoded.freshness).toEqual({
          source: sources[fresh.source],
          revision: BigInt(fresh.revision),
          // An upper bound, never understated.
          stalenessMs: BigInt(Math.ceil(fresh.stalenessMs)),
          stale: fresh.stale,
        });
      }
    }),
    { numRuns: 300 },
  );
});

test('a change that this program cannot know is refused, not skipped', () => {
  fc.assert(
    fc.property(change, (sent) => {
      const wire = changeToWire(sent);
      expect(() => changeFromWire({ ...wire, resource: undefined })).toThrow(
        'resource that this program does not know',
      );
      expect(() => changeFromWire({ ...wire, action: 99 as never })).toThrow('unknown action 99');
    }),
    { numRuns: 10 },
  );
});
