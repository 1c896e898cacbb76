import type { ChangeAction, ChangeSubject } from './change.ts';
import { DomainError } from './domain-error.ts';
import type { Endpoint } from './endpoint.ts';
import type { LiveState, Provenance, RouteKey, RouteValue } from './route.ts';
import type { TenantValue } from './tenant.ts';
import type { TrafficPolicyKey, TrafficPolicyValue } from './traffic-policy.ts';

/** What a caller wants changed. `etag` '' : whatever is there. Values have been validated. */
export type Mutation =
  | { readonly kind: 'create_tenant'; readonly tenant: string; readonly value: TenantValue }
  | {
      readonly kind: 'update_tenant';
      readonly tenant: string;
      /** What is undefined is left as it is. */
      readonly value: { readonly [Name in keyof TenantValue]: TenantValue[Name] | undefined };
      readonly etag: string;
    }
  | { readonly kind: 'delete_tenant'; readonly tenant: string; readonly etag: string }
  | { readonly kind: 'undelete_tenant'; readonly tenant: string; readonly etag: string }
  | { readonly kind: 'create_route'; readonly key: RouteKey; readonly value: RouteValue }
  | {
      readonly kind: 'update_route';
      readonly key: RouteKey;
      /** Undefined: left as it is. */
      readonly endpoints: readonly Endpoint[] | undefined;
      /** Undefined: left as it is. */
      readonly labels: Readonly<Record<string, string>> | undefined;
      /** The state to create the route in where there is none; undefined: it must exist. */
      readonly createAs: LiveState | undefined;
      readonly etag: string;
    }
  | { readonly kind: 'set_route_state'; readonly key: RouteKey; readonly state: LiveState; readonly etag: string }
  | { readonly kind: 'delete_route'; readonly key: RouteKey; readonly etag: string }
  | { readonly kind: 'undelete_route'; readonly key: RouteKey; readonly etag: string }
  /** Gives a route a value of the past; undefined: it did not exist then. */
  | {
      readonly kind: 'restore_route';
      readonly key: RouteKey;
      readonly value: RouteValue | undefined;
      readonly etag: string;
    }
  | {
      readonly kind: 'set_traffic_policy';
      readonly key: TrafficPolicyKey;
      readonly value: TrafficPolicyValue;
      readonly etag: string;
    }
  | { readonly kind: 'delete_traffic_policy'; readonly key: TrafficPolicyKey; readonly etag: string }
  /** Gives a policy a value of the past; undefined: it did not exist then. */
  | {
      readonly kind: 'restore_traffic_policy';
      readonly key: TrafficPolicyKey;
      readonly value: TrafficPolicyValue | undefined;
    };

/** A mutation of one kind. */
export type MutationOf<Kind extends Mutation['kind']> = Extract<Mutation, { kind: Kind }>;

/** The change that a mutation asks for. */
export type Intent = { readonly action: ChangeAction; readonly subject: ChangeSubject };

/** What a mutation comes to: a change, or the resource as it already is. */
export type Evaluation =
  | { readonly kind: 'change'; readonly intent: Intent }
  | { readonly kind: 'unchanged'; readonly subject: ChangeSubject };

/** What the change will carry, but for its time, which the database gives at commit. */
export type Authorship = { readonly revision: number; readonly actor: string };

/** Throws ETAG_MISMATCH unless the etag that the caller saw is still the resource's. */
export function checkEtag(name: string, { wanted, found }: { wanted: string; found: string }): void {
  if (wanted === '' || wanted === found) return;
  throw new DomainError('ETAG_MISMATCH', `${name} has changed since: its etag is ${found || '(none)'}, not ${wanted}`, {
    metadata: { name, etag: wanted, current_etag: found },
  });
}

/** What a changed resource carries of its change. A creation time of 0 is that of the commit. */
export function provenance(etag: string, createTimeMs: number, author: Authorship): Provenance {
  return { revision: author.revision, etag, createTimeMs, updateTimeMs: 0, updatedBy: author.actor };
}
