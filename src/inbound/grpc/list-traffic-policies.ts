import { tenantNotFound } from '../../domain/transaction.ts';
import { Violations } from '../../domain/validation.ts';
import type {
  ListTrafficPoliciesRequest,
  ListTrafficPoliciesResponse,
} from '../../gen/trafficmanager/v1/traffic_policy_service.ts';
import type { ConfigurationStore, PolicyFilter } from '../../ports/configuration-store.ts';
import { policyToWire } from '../../wire/traffic-policy-wire.ts';
import { decodePageToken, encodePageToken, pageSize } from './page-token.ts';

/** ListTrafficPolicies: one read a page, from the primary key. */
export function createListTrafficPolicies(
  store: ConfigurationStore,
): (request: ListTrafficPoliciesRequest) => Promise<ListTrafficPoliciesResponse> {
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
    const policies = found.policies.slice(0, size);
    const last = policies.at(-1)?.key;
    const more = found.policies.length > size && last !== undefined;
    return {
      trafficPolicies: policies.map(policyToWire),
      nextPageToken: more ? encodePageToken(question, [last.service, last.environment]) : '',
      revision: BigInt(found.revision),
    };
  };
}

function placeOf([service = '', environment = '']: readonly string[]) {
  return { service, environment };
}
