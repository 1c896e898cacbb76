import type { AttributeMatch, AttributePredicate, MatchRule } from '../../src/domain/match-rule.ts';
import type { Lookup } from '../../src/domain/resolve.ts';
import type { LiveState, Route } from '../../src/domain/route.ts';
import type { TenantView } from '../../src/domain/tenant-view.ts';
import type { TrafficPolicy, TrafficPolicyKey, TrafficPolicyValue } from '../../src/domain/traffic-policy.ts';
import { exampleTenantRecord } from './example-configuration.ts';

/** Ordinary policies for tests that do not care which: what a test is about, it names itself. */

export const examplePolicyKey: TrafficPolicyKey = { tenant: 'acme', service: 'cart', environment: 'production' };

export function exampleRule(fields: Partial<MatchRule> = {}): MatchRule {
  const given = fields.split === undefined ? { version: 'v1' } : { version: '' };
  return { name: '', attributes: [], method: '', split: [], ...given, ...fields };
}

export function attribute(name: string, predicate: AttributePredicate): AttributeMatch {
  return { name, predicate };
}

export const exact = (text: string): AttributePredicate => ({ kind: 'exact', text });
export const prefix = (text: string): AttributePredicate => ({ kind: 'prefix', text });
export const regex = (pattern: string): AttributePredicate => ({ kind: 'regex', pattern });
export const present = (is = true): AttributePredicate => ({ kind: 'present', present: is });

/** Everything that a policy can say, every field with a value of its own. */
export function exampleFullPolicy(fields: Partial<TrafficPolicyValue> = {}): TrafficPolicyValue {
  return {
    defaultVersion: 'v1',
    split: [
      { version: 'v1', weight: 90 },
      { version: 'v2', weight: 10 },
    ],
    rules: [
      exampleRule({
        name: 'employees',
        attributes: [
          attribute('x-user', exact('alice')),
          attribute('x-region', prefix('eu-')),
          attribute('user-agent', regex('.*Firefox/1[0-9]{2}.*')),
          attribute('x-legacy', present(false)),
          attribute('x-trace', present()),
        ],
        method: 'shop.Cart/Add',
        version: 'v2',
      }),
      exampleRule({ method: 'shop.Cart/*', split: [{ version: 'v3', weight: 1 }] }),
    ],
    timeoutMs: 2_500,
    perTryTimeoutMs: 800,
    retry: {
      attemptsMax: 3,
      codes: ['UNAVAILABLE', 'RESOURCE_EXHAUSTED'],
      backoffBaseMs: 25,
      backoffMaxMs: 60_000,
      budgetPercent: 12.5,
      budgetFloorPerSecond: 10,
    },
    circuitBreaker: {
      errorPercent: 50,
      volumeMin: 20,
      windowMs: 10_000,
      resetTimeoutMs: 5_000,
      concurrentMax: 100,
      pendingMax: 50,
    },
    loadBalancing: 'LEAST_PENDING',
    outlierEjection: { consecutiveErrors: 5, baseEjectionTimeMs: 30_000, ejectedPercentMax: 33.3 },
    localityPreference: 'SAME_ZONE',
    mirroring: { version: 'v3', percent: 1.5 },
    faultInjection: { delayPercent: 0.1, delayMs: 250, abortPercent: 0.2, abortCode: 'UNAVAILABLE' },
    ...fields,
  };
}

/** A tenant with one service in one environment, as lookups see it: its routes' states by version, and its policy. */
export function viewWith(
  states: Readonly<Record<string, LiveState>>,
  value: TrafficPolicyValue | undefined,
): { readonly view: TenantView; readonly policy: TrafficPolicy | undefined } {
  const provenance = { revision: 2, etag: 'e', createTimeMs: 1, updateTimeMs: 1, updatedBy: 'alice' };
  const routes = new Map<string, Route>();
  for (const [version, state] of Object.entries(states)) {
    const key = { ...examplePolicyKey, version };
    const endpoints = [{ url: `grpc://${version}:1`, weight: 1, zone: '', priority: 0, labels: {} }];
    routes.set(version, { key, endpoints, labels: {}, lifecycle: { state }, ...provenance });
  }
  const policy = value && { key: examplePolicyKey, ...value, ...provenance };
  const { tenant, service, environment } = examplePolicyKey;
  const owner = exampleTenantRecord({ tenant });
  const view: TenantView = {
    tenant: owner,
    find: (...place) => (place[0] === service && place[1] === environment ? { policy, routes } : undefined),
  };
  return { view, policy };
}

/** A lookup that leaves the version to the policy. */
export function exampleLookup(fields: Partial<Lookup> = {}): Lookup {
  return { ...examplePolicyKey, version: '', hashKey: '', attributes: {}, method: '', ...fields };
}

/** Chance that comes out the same every time: a linear congruential generator. */
export function chanceFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 4_294_967_296;
  };
}
