import assert from 'node:assert/strict';
import { ChangeAction, RouteState, type Change, type Route, type TrafficPolicy } from '../../../src/client/index.ts';
import type { LiveState, PolicyValue, RouteValue } from './operation.ts';

export type ModelRoute = {
  readonly value: RouteValue;
  readonly state: LiveState | 'DELETED';
  /** The state it was deleted in. */
  readonly deletedIn: LiveState | undefined;
  readonly etag: string;
  readonly revision: number;
  /** As the change log has it; undefined for what the model works out. */
  readonly wire: Route | undefined;
};

export type ModelPolicy = {
  readonly value: PolicyValue;
  readonly etag: string;
  readonly revision: number;
  readonly wire: TrafficPolicy | undefined;
};

/** Everything of a tenant at one revision. */
export type ModelState = {
  readonly routes: ReadonlyMap<string, ModelRoute>;
  readonly policies: ReadonlyMap<string, ModelPolicy>;
};

/** What was committed together. */
export type Commit = { readonly first: number; readonly last: number; readonly changes: readonly Change[] };

/**
 * The change log of a tenant, replayed: the state at every revision. Building it checks what must hold of a log whatever was
 * written: gap-free, whole commits, each change on top of the one before.
 */
export class TenantLog {
  readonly tenant: string;
  readonly changes: readonly Change[];
  readonly commits: readonly Commit[];
  readonly #states: ModelState[] = [{ routes: new Map(), policies: new Map() }];
  readonly #boundaries: ReadonlySet<number>;

  constructor(tenant: string, changes: readonly Change[]) {
    this.tenant = tenant;
    this.changes = changes;
    assert.deepEqual(
      changes.map(({ revision }) => Number(revision)),
      changes.map((_, index) => index + 1),
      `the revisions of ${tenant} are gap-free`,
    );
    this.commits = commitsOf(changes);
    this.#boundaries = new Set(this.commits.map(({ last }) => last));
    for (const change of changes) this.#states.push(applied(this.at(Number(change.revision) - 1), change));
  }

  get head(): number {
    return this.changes.length;
  }

  at(revision: number): ModelState {
    const state = this.#states[revision];
    assert(state !== undefined, `${this.tenant} has no revision ${revision}`);
    return state;
  }

  change(revision: number): Change {
    const change = this.changes[revision - 1];
    assert(change !== undefined, `${this.tenant} has no change ${revision}`);
    return change;
  }

  /** Whether a transaction ends at a revision: nobody may see the tenant at any other. */
  isBoundary(revision: number): boolean {
    return this.#boundaries.has(revision);
  }

  /** The boundaries in [from, to]. */
  boundaries(from: number, to: number): number[] {
    const found: number[] = [];
    for (let revision = Math.max(1, from); revision <= Math.min(to, this.head); revision++)
      if (this.isBoundary(revision)) found.push(revision);
    return found;
  }
}

/** `service/environment`, and for a route `/version`; '' for the tenant itself. */
export function pathOfChange({ resource }: Change): string {
  if (resource?.$case === 'route') return pathOf(resource.value.after?.key);
  if (resource?.$case === 'trafficPolicy') return groupOf(resource.value.key);
  return '';
}

function pathOf(key: { service: string; environment: string; version: string } | undefined): string {
  return `${key?.service}/${key?.environment}/${key?.version}`;
}

function groupOf(key: { service: string; environment: string } | undefined): string {
  return `${key?.service}/${key?.environment}`;
}

export function routeValueOf(route: Route): RouteValue {
  return { hosts: route.endpoints.map(({ url }) => url.replace('grpc://', '')), label: route.labels['label'] ?? '' };
}

export function policyValueOf({ defaultVersion, split }: TrafficPolicy): PolicyValue {
  return { defaultVersion, split: split.map(({ version, weight }) => `${version}=${weight}`) };
}

export const stateNames = {
  [RouteState.ROUTE_STATE_ACTIVE]: 'ACTIVE',
  [RouteState.ROUTE_STATE_INACTIVE]: 'INACTIVE',
  [RouteState.ROUTE_STATE_DELETED]: 'DELETED',
} as Readonly<Record<number, ModelRoute['state']>>;

function commitsOf(changes: readonly Change[]): Commit[] {
  const commits: Commit[] = [];
  const ids = new Set<string>();
  for (let first = 1; first <= changes.length;) {
    const { commitRevision, commitId } = changes[first - 1]!;
    const last = Number(commitRevision);
    const together = changes.slice(first - 1, last);
    assert(last >= first && last <= changes.length, `commit ${first}..${last} of ${changes.length} is half there`);
    for (const change of together) {
      assert.equal(change.commitRevision, commitRevision);
      assert.equal(change.commitId, commitId);
      assert.deepEqual(change.commitTime, together[0]!.commitTime);
      assert.equal(change.correlationId, together[0]!.correlationId);
    }
    assert(!ids.has(commitId), `commit id ${commitId} stands for two commits`);
    ids.add(commitId);
    const before = changes[first - 2]?.commitTime?.getTime() ?? 0;
    assert((together[0]!.commitTime?.getTime() ?? -1) >= before, `time goes back at revision ${first}`);
    commits.push({ first, last, changes: together });
    first = last + 1;
  }
  return commits;
}

function applied(state: ModelState, change: Change): ModelState {
  const { resource } = change;
  const what = `change ${change.revision} of ${change.tenant}`;
  if (resource?.$case === 'route') return appliedRoute(state, change, resource.value, what);
  if (resource?.$case === 'trafficPolicy') {
    const { before, after, key } = resource.value;
    const held = state.policies.get(groupOf(key));
    assert.deepEqual(before, held?.wire, `${what} is on top of what was there`);
    const policies = new Map(state.policies);
    policies.delete(groupOf(key));
    if (after !== undefined) {
      assert.equal(after.revision, change.revision, what);
      assert.notEqual(after.etag, before?.etag, what);
      assert.deepEqual(after.updateTime, change.commitTime, what);
      const { etag } = after;
      policies.set(groupOf(key), { value: policyValueOf(after), etag, revision: Number(after.revision), wire: after });
    }
    return { ...state, policies };
  }
  assert.equal(resource?.$case, 'tenantChange', what);
  return state;
}

function appliedRoute(
  state: ModelState,
  change: Change,
  { before, after }: { before?: Route | undefined; after?: Route | undefined },
  what: string,
): ModelState {
  assert(after !== undefined, `${what} has a route`);
  const path = pathOf(after.key);
  const held = state.routes.get(path);
  assert.deepEqual(before, held?.wire, `${what} is on top of what was there`);
  assert.equal(after.revision, change.revision, what);
  assert.notEqual(after.etag, before?.etag, what);
  assert.deepEqual(after.updateTime, change.commitTime, what);
  const created = change.action === ChangeAction.CHANGE_ACTION_CREATED;
  assert.deepEqual(after.createTime, created ? change.commitTime : before?.createTime, what);
  const next = stateNames[after.state];
  assert(next !== undefined, what);
  assert.deepEqual(after.deleteTime, next === 'DELETED' ? change.commitTime : undefined, what);
  const was = held === undefined || held.state === 'DELETED' ? 'ACTIVE' : held.state;
  const routes = new Map(state.routes).set(path, {
    value: routeValueOf(after),
    state: next,
    deletedIn: next === 'DELETED' ? was : undefined,
    etag: after.etag,
    revision: Number(after.revision),
    wire: after,
  });
  return { ...state, routes };
}
