import { tenantNotFound } from '../../domain/transaction.ts';
import { Violations } from '../../domain/validation.ts';
import { TrafficPolicy } from '../../gen/trafficmanager/v1/traffic_policy.ts';
import type { ListTrafficPoliciesRequest } from '../../gen/trafficmanager/v1/traffic_policy_service.ts';
import type { Encoded } from '../../platform/grpc/handlers.ts';
import type { ConfigurationStore, PolicyFilter } from '../../ports/configuration-store.ts';
import { encodeFirst, encodePage } from '../../wire/page-wire.ts';
import { policyToWire } from '../../wire/traffic-policy-wire.ts';
import { decodePageToken, encodePageToken, pageSize } from './page-token.ts';

/** ListTrafficPolicies: one read a page, from the primary key. */
export function createListTrafficPolicies(
  store: ConfigurationStore,
): (request: ListTrafficPoliciesRequest) => Promise<Encoded> {
  return async (request) => {
    const violations = new Violations();
    const { tenant, service } = request;
    violations.name('tenant', tenant);
    if (service !== '') violations.name('service', service);
    const filter: PolicyFilter = { tenant, service };
    const size = pageSize(violations, request.pageSize);
    const question = ['policies', filter];
    const token = decodePageToken(violations, request.pageToken, { question, parts: 2 });
    violations.assertNone();

    const found = await store.listPolicies(filter, token && placeOf(token), size + 1);
    if (found === undefined) throw tenantNotFound(tenant);
    const policies = encodeFirst(found.policies.slice(0, size), (policy) =>
      TrafficPolicy.encode(policyToWire(policy)).finish(),
    );
    const last = found.policies[policies.length - 1]?.key;
    const more = found.policies.length > policies.length && last !== undefined;
    return encodePage(policies, {
      nextPageToken: more ? encodePageToken(question, [last.service, last.environment]) : '',
      revision: found.revision,
    });
  };
}

function placeOf([service = '', environment = '']: readonly string[]) {
  return { service, environment };
}
