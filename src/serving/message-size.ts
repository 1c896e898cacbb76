import type { Change } from '../domain/change.ts';
import type { Endpoint } from '../domain/endpoint.ts';
import type { Route } from '../domain/route.ts';
import type { TrafficPolicy } from '../domain/traffic-policy.ts';

// How large resources get on the wire, without encoding them: never less than they do, and for ordinary ones hardly more.
// A route may have 256 KiB, so counting routes or endpoints says nothing about bytes.

/** Numbers, times, tags and lengths of a resource or a change. */
const fixedBytes = 100;
/** A UTF-16 unit has 3 bytes at most, in UTF-8. */
const bytesOfUnit = 3;

/** Upper bound, in bytes. */
export function changeBytesAtMost({ tenant, commitId, actor, correlationId, subject }: Change): number {
  const bytes = fixedBytes + textsBytes(tenant, commitId, actor, correlationId);
  switch (subject.kind) {
    case 'route':
      return bytes + routeBytesAtMost(subject.after) + (subject.before === undefined ? 0 : routeBytesAtMost(subject.before));
    case 'traffic_policy': {
      const policies = [subject.before, subject.after].filter((policy) => policy !== undefined);
      return policies.reduce((sum, policy) => sum + policyBytesAtMost(policy), bytes + fixedBytes * bytesOfUnit);
    }
    case 'tenant':
      return bytes + 2 * (fixedBytes + textsBytes(tenant, subject.before?.displayName ?? '', subject.after.displayName));
  }
}

/** Upper bound, in bytes. */
export function routeBytesAtMost({ key, endpoints, labels, etag, updatedBy }: Route): number {
  const own = fixedBytes + textsBytes(key.tenant, key.service, key.environment, key.version, etag, updatedBy);
  return endpoints.reduce((sum, endpoint) => sum + endpointBytes(endpoint), own + labelsBytes(labels));
}

/** Upper bound, in bytes. */
export function policyBytesAtMost({ key, defaultVersion, split, etag, updatedBy }: TrafficPolicy): number {
  const own = fixedBytes + textsBytes(key.tenant, key.service, key.environment, defaultVersion, etag, updatedBy);
  return split.reduce((sum, { version }) => sum + 10 + textsBytes(version), own);
}

function endpointBytes({ url, zone, labels }: Endpoint): number {
  return 24 + textsBytes(url, zone) + labelsBytes(labels);
}

function labelsBytes(labels: Readonly<Record<string, string>>): number {
  let bytes = 0;
  for (const name in labels) bytes += 12 + textsBytes(name, labels[name] ?? '');
  return bytes;
}

function textsBytes(...texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + text.length * bytesOfUnit, 0);
}
