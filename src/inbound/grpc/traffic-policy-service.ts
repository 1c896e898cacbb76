import { DomainError } from '../../domain/domain-error.ts';
import {
  trafficPolicyName,
  validateTrafficPolicyKey,
  validateTrafficPolicyValue,
  type TrafficPolicyKey,
} from '../../domain/traffic-policy.ts';
import { tenantNotFound } from '../../domain/transaction.ts';
import { Violations } from '../../domain/validation.ts';
import type { TrafficPolicyKey as WirePolicyKey } from '../../gen/trafficmanager/v1/traffic_policy.ts';
import type { TrafficPolicyServiceService } from '../../gen/trafficmanager/v1/traffic_policy_service.ts';
import type { Handlers } from '../../platform/grpc/handlers.ts';
import type { ConfigurationStore } from '../../ports/configuration-store.ts';
import { policyKeyFromWire, policyToWire, policyValueFromWire } from '../../wire/traffic-policy-wire.ts';
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
    setTrafficPolicy: async (request, context) => {
      const violations = new Violations();
      const key = validKey(violations, 'traffic_policy.key', request.trafficPolicy?.key);
      const value = policyValueFromWire(request.trafficPolicy);
      validateTrafficPolicyValue(violations, 'traffic_policy', value);
      validateRequestId(violations, request.requestId);
      violations.assertNone();
      const mutation = { kind: 'set_traffic_policy' as const, key, value, etag: request.trafficPolicy?.etag ?? '' };
      const result = await write({ tenant: key.tenant, mutations: [mutation], ...request }, context);
      const { outcome, revision, change } = singleOutcome(result);
      if (outcome.subject.kind !== 'traffic_policy') throw new Error('a policy mutation with another outcome');
      return { trafficPolicy: outcome.subject.after && policyToWire(outcome.subject.after), revision, change };
    },

    getTrafficPolicy: async (request) => {
      const violations = new Violations();
      const key = validKey(violations, 'key', request.key);
      violations.assertNone();
      const policy = await store.getPolicy(key);
      if (policy !== undefined) return { trafficPolicy: policyToWire(policy) };
      if ((await store.head(key.tenant)) === undefined) throw tenantNotFound(key.tenant);
      const name = trafficPolicyName(key);
      throw new DomainError('TRAFFIC_POLICY_NOT_FOUND', `there is no traffic policy of ${name}`, {
        metadata: { policy: name },
        resource: { type: 'TrafficPolicy', name, tenant: key.tenant },
      });
    },
  };
}

function validKey(violations: Violations, field: string, wire: WirePolicyKey | undefined): TrafficPolicyKey {
  const key = policyKeyFromWire(wire);
  if (wire === undefined) violations.add(field, 'is required');
  else validateTrafficPolicyKey(violations, field, key);
  return key;
}
