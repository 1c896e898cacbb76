import { resourceOf, type Change, type ChangeSubject } from '../../src/domain/change.ts';
import type { ConfigurationDigest } from '../../src/domain/configuration-digest.ts';
import type { Route } from '../../src/domain/route.ts';
import type { TrafficPolicy } from '../../src/domain/traffic-policy.ts';

type Resources = { readonly routes: readonly Route[]; readonly policies: readonly TrafficPolicy[] };
type ResourceSubject = Exclude<ChangeSubject, { kind: 'tenant' }>;

/** Moves a digest over changes, in order. `heldEtag`: of what is held of a resource before them; undefined: there is nothing. */
export function moveDigest(
  digest: ConfigurationDigest,
  changes: readonly Change[],
  heldEtag: (subject: ResourceSubject) => string | undefined,
): void {
  const moved = new Map<string, string | undefined>();
  for (const { subject } of changes) {
    if (subject.kind === 'tenant') continue;
    const name = resourceOf(subject);
    const before = moved.has(name) ? moved.get(name) : heldEtag(subject);
    const after = etagAfter(subject);
    if (before !== undefined) digest.remove(name, before);
    if (after !== undefined) digest.add(name, after);
    moved.set(name, after);
  }
}

/** The etag of what a change leaves behind; undefined: nothing. */
export function etagAfter(subject: ResourceSubject): string | undefined {
  if (subject.kind === 'traffic_policy') return subject.after?.etag;
  return subject.after.lifecycle.state === 'DELETED' ? undefined : subject.after.etag;
}

/** Adds what was not there before. */
export function addToDigest(digest: ConfigurationDigest, { routes, policies }: Resources): void {
  for (const { key, etag } of routes) digest.add(`${key.service}/${key.environment}/${key.version}`, etag);
  for (const { key, etag } of policies) digest.add(`${key.service}/${key.environment}`, etag);
}
