import type { TrafficPolicy, TrafficPolicyKey, TrafficPolicyValue } from '../domain/traffic-policy.ts';
import type {
  TrafficPolicy as WirePolicy,
  TrafficPolicyKey as WirePolicyKey,
} from '../gen/trafficmanager/v1/traffic_policy.ts';

export function policyKeyFromWire(key: WirePolicyKey | undefined): TrafficPolicyKey {
  return { tenant: key?.tenant ?? '', service: key?.service ?? '', environment: key?.environment ?? '' };
}

export function policyValueFromWire(policy: WirePolicy | undefined): TrafficPolicyValue {
  return {
    defaultVersion: policy?.defaultVersion ?? '',
    split: (policy?.split ?? []).map(({ version, weight }) => ({ version, weight })),
  };
}

export function policyToWire(policy: TrafficPolicy): WirePolicy {
  return {
    key: policy.key,
    defaultVersion: policy.defaultVersion,
    split: policy.split.map(({ version, weight }) => ({ version, weight })),
    revision: BigInt(policy.revision),
    etag: policy.etag,
    createTime: new Date(policy.createTimeMs),
    updateTime: new Date(policy.updateTimeMs),
    updatedBy: policy.updatedBy,
  };
}

/** A policy as another process sent it: trusted to be valid, as it was checked before it was committed. */
export function policyFromWire(wire: WirePolicy): TrafficPolicy {
  return {
    key: policyKeyFromWire(wire.key),
    ...policyValueFromWire(wire),
    revision: Number(wire.revision),
    etag: wire.etag,
    createTimeMs: wire.createTime?.getTime() ?? 0,
    updateTimeMs: wire.updateTime?.getTime() ?? 0,
    updatedBy: wire.updatedBy,
  };
}
