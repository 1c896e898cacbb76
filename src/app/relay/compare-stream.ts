import { resourceOf, type Change } from '../../domain/change.ts';
import { ConfigurationDigest } from '../../domain/configuration-digest.ts';
import type { Route } from '../../domain/route.ts';
import { standingChange } from '../../domain/standing-change.ts';
import type { TenantState } from '../../domain/tenant-view.ts';
import type { TrafficPolicy } from '../../domain/traffic-policy.ts';
import type { StreamEntry } from '../../ports/change-stream.ts';

/** A stream's entry, as much of it as a comparison needs: 100,000 of them are 20 MB. */
export type HeldEntry = {
  readonly subject: string;
  readonly sequence: number;
  /** Undefined: the message is no change. */
  readonly resource: string | undefined;
  readonly revision: number;
  /** Undefined: a tombstone. */
  readonly etag: string | undefined;
  readonly commitTimeMs: number;
};

/** What a stream has that a tenant has not, and the other way round. */
export type StreamDifference = {
  /** What the stream lacks or has otherwise, oldest first. */
  readonly missing: readonly Change[];
  /** What must not be there. */
  readonly extraneous: readonly HeldEntry[];
  readonly tombstones: readonly HeldEntry[];
  /** Of what the stream has that is not deleted. */
  readonly digest: string;
  readonly resourceCount: number;
  /** How many subjects the stream has once what is missing was published, and what is extraneous removed. */
  readonly subjectCount: number;
};

export function heldEntry({ subject, sequence, change }: StreamEntry): HeldEntry {
  const resource = change && resourceOf(change.subject);
  const after = change?.subject.after;
  const etag = after === undefined || isDeleted(after) ? undefined : after.etag;
  return {
    subject,
    sequence,
    resource,
    revision: change?.revision ?? 0,
    etag,
    commitTimeMs: change?.commitTimeMs ?? 0,
  };
}

/**
 * Compares all of a stream with all of a tenant. A resource whose change is on its way into the stream is not compared:
 * `isPending` says so of its name.
 */
export function compareStream(
  entries: readonly HeldEntry[],
  state: TenantState,
  isPending: (resource: string) => boolean,
): StreamDifference {
  const digest = new ConfigurationDigest();
  const extraneous: HeldEntry[] = [];
  const tombstones: HeldEntry[] = [];
  const held = new Map<string, HeldEntry>();
  for (const entry of entries) {
    const { resource, etag } = entry;
    if (resource === undefined) {
      extraneous.push(entry);
      continue;
    }
    held.set(resource, entry);
    if (etag === undefined) tombstones.push(entry);
    else digest.add(resource, etag);
    if (!isPending(resource) && !isKnown(state, resource, etag)) extraneous.push(entry);
  }
  const missing: Change[] = [];
  const kept = new Set(held.keys());
  for (const { resource } of extraneous) if (resource !== undefined) kept.delete(resource);
  for (const [name, resource] of resourcesOf(state)) {
    if (isPending(name)) continue;
    const entry = held.get(name);
    const deleted = isDeleted(resource);
    if (entry === undefined ? deleted : equals(entry, resource, deleted)) continue;
    missing.push(standingChange(resource));
    kept.add(name);
  }
  missing.sort((left, right) => left.revision - right.revision);
  return {
    missing,
    extraneous,
    tombstones,
    digest: digest.toString(),
    resourceCount: digest.count,
    subjectCount: kept.size,
  };
}

function equals(entry: HeldEntry, resource: Route | TrafficPolicy, deleted: boolean): boolean {
  return entry.revision === resource.revision && entry.etag === (deleted ? undefined : resource.etag);
}

/** Whether the tenant has, or had, what an entry is of. Of a deleted policy nothing is left to compare its tombstone with. */
function isKnown(state: TenantState, resource: string, etag: string | undefined): boolean {
  const [service = '', environment = '', version] = resource.split('/');
  const group = state.find(service, environment);
  if (version !== undefined) return group?.routes.has(version) === true;
  return etag === undefined || group?.policy !== undefined;
}

function* resourcesOf(state: TenantState): IterableIterator<[string, Route | TrafficPolicy]> {
  for (const { policy, routes } of state.all()) {
    if (policy !== undefined) yield [`${policy.key.service}/${policy.key.environment}`, policy];
    for (const route of routes.values())
      yield [`${route.key.service}/${route.key.environment}/${route.key.version}`, route];
  }
}

function isDeleted(resource: object): boolean {
  return 'lifecycle' in resource && (resource as Route).lifecycle.state === 'DELETED';
}
