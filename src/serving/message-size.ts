import type { Change } from '../domain/change.ts';
import type { Endpoint } from '../domain/endpoint.ts';
import type { Route } from '../domain/route.ts';
import type { TrafficPolicy } from '../domain/traffic-policy.ts';

// Upper bounds, in bytes, of what resources take on the wire, without encoding them. Counting routes or endpoints is not
// enough: a URL may have 2 KB and a route 256 KiB, and a client that cannot take a message gets the same one again for ever.

/** Numbers, times, tags and lengths of a resource or a change. */
const fixedBytes = 100;
/** The rest is ASCII; labels, zones and names for people may need up to 3 bytes for a UTF-16 unit. */
const bytesPerUnit = 3;

export function changeBytesAtMost({ tenant, commitId, actor, correlationId, subject }: Change): number {
  const bytes = fixedBytes + tenant.length + commitId.length + actor.length + correlationId.length;
  switch (subject.kind) {
    case 'route':
      return bytes + routeBytesAtMost(subject.after) + (subject.before ? routeBytesAtMost(subject.before) : 0);
    case 'traffic_policy': {
      const { key, before, after } = subject;
      const keyBytes = fixedBytes + key.tenant.length + key.service.length + key.environment.length;
      return bytes + keyBytes + (before ? policyBytesAtMost(before) : 0) + (after ? policyBytesAtMost(after) : 0);
    }
    case 'tenant': {
      const names = subject.after.displayName.length + (subject.before?.displayName.length ?? 0);
      return bytes + 2 * (fixedBytes + tenant.length) + names * bytesPerUnit;
    }
  }
}

export function routeBytesAtMost({ key, endpoints, labels, etag, updatedBy }: Route): number {
  const names = key.tenant.length + key.service.length + key.environment.length + key.version.length;
  const own = fixedBytes + names + etag.length + updatedBy.length + labelsBytes(labels);
  return endpoints.reduce((sum, endpoint) => sum + endpointBytes(endpoint), own);
}

export function policyBytesAtMost({ key, defaultVersion, split, etag, updatedBy }: TrafficPolicy): number {
  const names = key.tenant.length + key.service.length + key.environment.length + defaultVersion.length;
  return split.reduce(
    (sum, { version }) => sum + 16 + version.length,
    fixedBytes + names + etag.length + updatedBy.length,
  );
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
