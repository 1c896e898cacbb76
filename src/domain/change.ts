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
};

/** A point in one tenant's history. Revision 0 is before its first change. */
export type Position = { readonly revision: number; readonly commitId: string };

/** The same change with the commit's time, which only the database knows, in all the places that carry it. */
export function withCommitTime(change: Change, commitTimeMs: number): Change {
  return { ...change, commitTimeMs, subject: subjectWithCommitTime(change, commitTimeMs) };
}

function subjectWithCommitTime({ subject }: Change, commitTimeMs: number): ChangeSubject {
  switch (subject.kind) {
    case 'route': {
      const createTimeMs = subject.before === undefined || subject.after.createTimeMs === 0 ? commitTimeMs : subject.after.createTimeMs;
      return { ...subject, after: { ...subject.after, createTimeMs, updateTimeMs: commitTimeMs } };
    }
    case 'traffic_policy': {
      if (subject.after === undefined) return subject;
      return { ...subject, after: { ...subject.after, createTimeMs: subject.before?.createTimeMs ?? commitTimeMs, updateTimeMs: commitTimeMs } };
    }
    case 'tenant':
      return { ...subject, after: { ...subject.after, createTimeMs: subject.before?.createTimeMs ?? commitTimeMs } };
  }
}
