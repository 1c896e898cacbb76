import type { Route } from './route.ts';
import type { Tenant } from './tenant.ts';
import type { TrafficPolicy, TrafficPolicyKey } from './traffic-policy.ts';

/** What a change did to its resource. */
export type ChangeAction = 'CREATED' | 'UPDATED' | 'ACTIVATED' | 'DEACTIVATED' | 'DELETED' | 'UNDELETED';

/** What a change happened to, before and after. */
export type ChangeSubject =
  | { readonly kind: 'route'; readonly before: Route | undefined; readonly after: Route }
  | {
      readonly kind: 'traffic_policy';
      readonly key: TrafficPolicyKey;
      readonly before: TrafficPolicy | undefined;
      readonly after: TrafficPolicy | undefined;
    }
  | { readonly kind: 'tenant'; readonly before: Tenant | undefined; readonly after: Tenant };

/** One committed mutation of one resource. */
export type Change = {
  readonly tenant: string;
  /** Unique, gap-free and in commit order inside the tenant. */
  readonly revision: number;
  /** The revision of the last change of the same transaction. */
  readonly commitRevision: number;
  /** Random per transaction: tells apart two histories that reached the same revision. */
  readonly commitId: string;
  readonly action: ChangeAction;
  readonly actor: string;
  readonly correlationId: string;
  /** Database clock, milliseconds since the epoch; never decreasing inside a tenant. */
  readonly commitTimeMs: number;
  readonly subject: ChangeSubject;
  /** About what it takes of memory, where it knows better than {@link approximateBytes}. */
  readonly heldBytes?: number;
};

/** A point in one tenant's history. Revision 0 is before its first change. */
export type Position = { readonly revision: number; readonly commitId: string };

/** What a change happened to, as one text: equal for all changes of one resource of a tenant. Names hold no `/`. */
export function resourceOf(subject: ChangeSubject): string {
  switch (subject.kind) {
    case 'route': {
      const { service, environment, version } = subject.after.key;
      return `${service}/${environment}/${version}`;
    }
    case 'traffic_policy':
      return `${subject.key.service}/${subject.key.environment}`;
    case 'tenant':
      return '';
  }
}

/** About what a change takes of memory: measured roughly, with the objects and texts of both values. */
export function approximateBytes({ heldBytes, subject }: Change): number {
  const changeBytes = 600;
  if (heldBytes !== undefined) return heldBytes;
  switch (subject.kind) {
    case 'route':
      return changeBytes + routeBytes(subject.before) + routeBytes(subject.after);
    case 'traffic_policy':
      return changeBytes + policyBytes(subject.before) + policyBytes(subject.after);
    case 'tenant':
      return changeBytes + 500;
  }
}

function routeBytes(route: Route | undefined): number {
  if (route === undefined) return 0;
  const labels = Object.keys(route.labels).length;
  return route.endpoints.reduce((total, endpoint) => total + 250 + endpoint.url.length, 500 + labels * 150);
}

function policyBytes(policy: TrafficPolicy | undefined): number {
  return policy === undefined ? 0 : 1_000 + policy.split.length * 60 + policy.rules.length * 500;
}

/** The same change with the commit's time, which only the database knows, in all the places that carry it. */
export function withCommitTime(change: Change, commitTimeMs: number): Change {
  return { ...change, commitTimeMs, subject: subjectWithCommitTime(change.subject, commitTimeMs) };
}

/**
 * A time of 0 is the commit's own. `before` too may have it: transactions that commit together build on each other before
 * any of them has a time.
 */
export function subjectWithCommitTime(subject: ChangeSubject, commitTimeMs: number): ChangeSubject {
  const timed = <Resource extends { readonly createTimeMs: number }>(resource: Resource): Resource => ({
    ...resource,
    createTimeMs: resource.createTimeMs === 0 ? commitTimeMs : resource.createTimeMs,
    ...('updateTimeMs' in resource && resource.updateTimeMs === 0 ? { updateTimeMs: commitTimeMs } : {}),
  });
  switch (subject.kind) {
    case 'route':
      return { ...subject, before: subject.before && timed(subject.before), after: timed(subject.after) };
    case 'traffic_policy':
      return {
        ...subject,
        before: subject.before && timed(subject.before),
        after: subject.after && timed(subject.after),
      };
    case 'tenant':
      return { ...subject, before: subject.before && timed(subject.before), after: timed(subject.after) };
  }
}
