import type { Route, RouteKey } from '../../../src/domain/route.ts';

/** The key of the n-th route of the benches' tenant: 10 services an environment's worth of versions each. */
export function benchKey(index: number): RouteKey {
  return {
    tenant: 'bench',
    service: `service-${Math.floor(index / 2)}`,
    environment: 'production',
    version: `v${(index % 2) + 1}`,
  };
}

/** The n-th route: one endpoint, about 110 bytes encoded with its key. */
export function benchRoute(index: number): Route {
  const key = benchKey(index);
  return {
    key,
    endpoints: [
      { url: `grpc://${key.service}.bench.internal:8443`, weight: 1, zone: 'eu-west-1a', priority: 0, labels: {} },
    ],
    labels: {},
    lifecycle: { state: 'ACTIVE' },
    revision: index + 2,
    etag: '0123456789abcdef',
    createTimeMs: 1_700_000_000_000,
    updateTimeMs: 1_700_000_000_000,
    updatedBy: 'bench',
  };
}
