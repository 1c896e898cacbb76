import { trafficPolicyNotFound } from '../../domain/traffic-policy.ts';
import { Violations } from '../../domain/validation.ts';
import type { TrafficPolicyServiceService } from '../../gen/trafficmanager/v1/traffic_policy_service.ts';
import type { Handlers } from '../../platform/grpc/handlers.ts';
import type { ConfigurationStore } from '../../ports/configuration-store.ts';
import { policyToWire } from '../../wire/traffic-policy-wire.ts';
import { createListTrafficPolicies } from './list-traffic-policies.ts';
import { checkedPolicyKey, setTrafficPolicyMutation } from './route-mutations.ts';
import { assertTenantInUse } from './tenant-in-use.ts';
import { singleOutcome, validateRequestId, type Write } from './write-call.ts';

/** TrafficPolicyService over the writer and the store. */
export function trafficPolicyHandlers({
  write,
  store,
}: {
  write: Write;
  store: ConfigurationStore;
}): Handlers<typeof TrafficPolicyServiceService> {
  return {
    setTrafficPolicy: async ({ trafficPolicy, requestId, validateOnly }, context) => {
      const violations = new Violations();
      const mutation = setTrafficPolicyMutation(violations, 'traffic_policy', trafficPolicy);
      validateRequestId(violations, requestId);
      violations.assertNone();
      const tenant = trafficPolicy?.key?.tenant ?? '';
      const result = await write({ tenant, mutations: [mutation], requestId, validateOnly }, context);
      const { outcome, revision, change } = singleOutcome(result);
      if (outcome.subject.kind !== 'traffic_policy') throw new Error('a policy mutation with another outcome');
      return { trafficPolicy: outcome.subject.after && policyToWire(outcome.subject.after), revision, change };
    },

    getTrafficPolicy: async (request) => {
      const violations = new Violations();
      const key = checkedPolicyKey(violations, 'key', request.key);
      violations.assertNone();
      const policy = await store.getPolicy(key);
      if (policy !== undefined) return { trafficPolicy: policyToWire(policy) };
      await assertTenantInUse(store, key.tenant);
      throw trafficPolicyNotFound(key);
    },

    listTrafficPolicies: createListTrafficPolicies(store),

    deleteTrafficPolicy: async ({ key: wireKey, etag, requestId, validateOnly }, context) => {
      const violations = new Violations();
      const key = checkedPolicyKey(violations, 'key', wireKey);
      validateRequestId(violations, requestId);
      violations.assertNone();
      const mutation = { kind: 'delete_traffic_policy' as const, key, etag };
      const result = await write({ tenant: key.tenant, mutations: [mutation], requestId, validateOnly }, context);
      const { revision, change } = singleOutcome(result);
      return { revision, change };
    },
  };
}
