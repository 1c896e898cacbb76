import type { TrafficPolicy, TrafficPolicyKey, TrafficPolicyValue } from '../domain/traffic-policy.ts';
import type {
  TrafficPolicy as WirePolicy,
  TrafficPolicyKey as WirePolicyKey,
} from '../gen/trafficmanager/v1/traffic_policy.ts';
import { callSettingsFromWire, callSettingsToWire } from './call-settings-wire.ts';
import { ruleFromWire, ruleToWire } from './match-rule-wire.ts';
import { splitFromWire, splitToWire } from './weighted-split-wire.ts';

export function policyKeyFromWire(key: WirePolicyKey | undefined): TrafficPolicyKey {
  return { tenant: key?.tenant ?? '', service: key?.service ?? '', environment: key?.environment ?? '' };
}

/** What a caller wants a policy to be, not validated yet: everything that is wrong with it is still to be seen in the value. */
export function policyValueFromWire(policy: WirePolicy | undefined): TrafficPolicyValue {
  return {
    defaultVersion: policy?.defaultVersion ?? '',
    split: splitFromWire(policy?.split ?? []),
    rules: (policy?.rules ?? []).map(ruleFromWire),
    ...(policy === undefined ? {} : callSettingsFromWire(policy)),
  };
}

export function policyToWire(policy: TrafficPolicy): WirePolicy {
  return {
    key: policy.key,
    defaultVersion: policy.defaultVersion,
    split: splitToWire(policy.split),
    rules: policy.rules.map(ruleToWire),
    ...callSettingsToWire(policy),
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
