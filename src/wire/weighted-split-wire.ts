import type { WeightedVersion } from '../domain/weighted-split.ts';
import type { WeightedVersion as WireWeightedVersion } from '../gen/trafficmanager/v1/traffic_policy.ts';

export function splitFromWire(split: readonly WireWeightedVersion[]): WeightedVersion[] {
  return split.map(({ version, weight }) => ({ version, weight }));
}

export function splitToWire(split: readonly WeightedVersion[]): WireWeightedVersion[] {
  return split.map(({ version, weight }) => ({ version, weight }));
}
