import type { Change, Route, TrafficPolicy, TrafficManagerError } from '../../../src/client/index.ts';

/** What concurrent clients do in the model test and under faults, in few words: names and values are drawn from short lists. */

export type LiveState = 'ACTIVE' | 'INACTIVE';

/** No hosts: a route that is refused. */
export type RouteValue = { readonly hosts: readonly string[]; readonly label: string };

/** `split`: `v1=3`. */
export type PolicyValue = { readonly defaultVersion: string; readonly split: readonly string[] };

/** `path`: `service/environment/version`. `group`: `service/environment`. `etag` '': none is sent. */
export type Mutation =
  | { readonly kind: 'create'; readonly path: string; readonly value: RouteValue; readonly state: LiveState }
  | {
      readonly kind: 'update';
      readonly path: string;
      readonly value: RouteValue;
      readonly mask: 'endpoints' | 'labels' | 'both';
      /** With allow_missing, in this state. */
      readonly createAs: LiveState | undefined;
      readonly etag: string;
    }
  | {
      readonly kind: 'activate' | 'deactivate' | 'delete' | 'undelete';
      readonly path: string;
      readonly etag: string;
    }
  | { readonly kind: 'set_policy'; readonly group: string; readonly value: PolicyValue; readonly etag: string }
  | { readonly kind: 'delete_policy'; readonly group: string; readonly etag: string };

export type Work =
  | { readonly kind: 'single'; readonly mutation: Mutation }
  | { readonly kind: 'batch'; readonly mutations: readonly Mutation[]; readonly force: boolean }
  | { readonly kind: 'rollback_route'; readonly path: string; readonly revision: number; readonly etag: string }
  | { readonly kind: 'rollback_tenant'; readonly revision: number; readonly force: boolean };

/** A write. Every attempt of it has the same request id. */
export type Write = {
  readonly kind: 'write';
  /** Unique; `x-correlation-id` of its attempts. */
  readonly id: string;
  readonly tenant: string;
  readonly work: Work;
  /** '': none. */
  readonly requestId: string;
  readonly validateOnly: boolean;
  /** Its request id was acknowledged for something else before. */
  readonly reusesRequestId: boolean;
};

export type Consistency =
  | { readonly kind: 'eventual' }
  | { readonly kind: 'strong' }
  | { readonly kind: 'min_revision'; readonly revision: number }
  | { readonly kind: 'at_revision'; readonly revision: number };

export type Read = {
  readonly kind: 'read';
  readonly id: string;
  readonly tenant: string;
  readonly what:
    | { readonly kind: 'get_route'; readonly path: string }
    | { readonly kind: 'get_policy'; readonly group: string }
    | { readonly kind: 'list_routes'; readonly atRevision: number | undefined }
    | { readonly kind: 'resolve'; readonly path: string; readonly consistency: Consistency };
};

export type Operation = Write | Read;

/** What the answers of all RPCs have in common. */
export type Reply = {
  /** The tenant's revision at which it holds; undefined where the RPC does not tell. */
  readonly revision: number | undefined;
  readonly changes: readonly Change[];
  readonly route?: Route | undefined;
  readonly policy?: TrafficPolicy | undefined;
  readonly routes?: readonly Route[];
  readonly results?: readonly { revision: bigint; etag: string; changed: boolean; change?: Change | undefined }[];
  readonly changedCount?: number;
};

/** One attempt, as its client saw it. */
export type Call = {
  readonly operation: Operation;
  readonly replica: number;
  /** Places in the order of everything that this process saw. */
  readonly startedAt: number;
  readonly endedAt: number;
  /** The newest revision of the tenant that was acknowledged to any client when the call began. */
  readonly knownRevision: number;
  readonly result:
    | { readonly kind: 'reply'; readonly reply: Reply }
    | { readonly kind: 'refused'; readonly error: TrafficManagerError }
    /** It may have been carried out, or may yet be. */
    | { readonly kind: 'unknown'; readonly error: TrafficManagerError };
};
