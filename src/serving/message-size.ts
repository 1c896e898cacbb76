import type { Endpoint } from '../domain/endpoint.ts';
import type { Route } from '../domain/route.ts';
import { canonicalTrafficPolicyValue, type TrafficPolicy } from '../domain/traffic-policy.ts';

// Upper bounds, in bytes, of what resources take on the wire, without encoding them. Counting routes or endpoints is not
// enough: a URL may have 2 KB and a route 256 KiB, and a client that cannot take a message gets the same one again for ever.

/** Numbers, times, tags and lengths of a resource. */
const fixedBytes = 100;
/** The rest is ASCII; labels, zones and names for people may need up to 3 bytes for a UTF-16 unit. */
const bytesPerUnit = 3;

export function routeBytesAtMost({ key, endpoints, labels, etag, updatedBy }: Route): number {
  const names = key.tenant.length + key.service.length + key.environment.length + key.version.length;
  const own = fixedBytes + names + etag.length + updatedBy.length + labelsBytes(labels);
  return endpoints.reduce((sum, endpoint) => sum + endpointBytes(endpoint), own);
}

export function policyBytesAtMost(policy: TrafficPolicy): number {
  const { key, etag, updatedBy } = policy;
  const names = key.tenant.length + key.service.length + key.environment.length;
  // A field's name in JSON is longer than its tag and length on the wire, and whatever number it has.
  const value = canonicalTrafficPolicyValue(policy).length * bytesPerUnit;
  return fixedBytes + names + etag.length + updatedBy.length + value;
}

function endpointBytes({ url, zone, labels }: Endpoint): number {
  return 24 + url.length + zone.length * bytesPerUnit + labelsBytes(labels);
}

function labelsBytes(labels: Readonly<Record<string, string>>): number {
  return Object.entries(labels).reduce(
    (sum, [name, value]) => sum + 12 + (name.length + value.length) * bytesPerUnit,
    0,
  );
}
