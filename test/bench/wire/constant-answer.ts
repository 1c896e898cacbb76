import {
  FreshnessSource,
  ResolveResponse,
  SelectionReason,
} from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import { routeToWire } from '../../../src/wire/route-wire.ts';
import { benchRoute } from '../resolve/bench-routes.ts';

/** What a sidecar answers for a route of the benches, encoded once. */
export const constantAnswer = ResolveResponse.encode({
  route: routeToWire(benchRoute(1)),
  selectionReason: SelectionReason.SELECTION_REASON_KEY,
  matchRule: '',
  freshness: {
    source: FreshnessSource.FRESHNESS_SOURCE_SNAPSHOT,
    revision: 10_001n,
    stalenessMs: 500n,
    stale: false,
  },
}).finish();
