import { resourceOf, type Change } from './change.ts';
import type { Mutation } from './mutation.ts';

/**
 * The mutations that restore a tenant as it was, and those that take back what has changed since they were worked out: so a
 * rollback holds on top of whatever was committed meanwhile, however busy the tenant is.
 */
export function alsoRestoring(mutations: readonly Mutation[], since: readonly Change[]): readonly Mutation[] {
  if (since.length === 0) return mutations;
  const known = new Set(mutations.map(restoredResource));
  const later: Mutation[] = [];
  for (const { subject } of since) {
    const resource = resourceOf(subject);
    if (subject.kind === 'tenant' || known.has(resource)) continue;
    known.add(resource);
    // The first change since: before it, the resource was as it had been all along.
    if (subject.kind === 'route')
      later.push({ kind: 'restore_route', key: subject.after.key, value: subject.before, etag: '' });
    else later.push({ kind: 'restore_traffic_policy', key: subject.key, value: subject.before });
  }
  return [...mutations, ...later];
}

function restoredResource(mutation: Mutation): string {
  if (mutation.kind !== 'restore_route' && mutation.kind !== 'restore_traffic_policy')
    throw new Error(`a rollback with a ${mutation.kind}`);
  const { service, environment } = mutation.key;
  return mutation.kind === 'restore_route'
    ? `${service}/${environment}/${mutation.key.version}`
    : `${service}/${environment}`;
}
