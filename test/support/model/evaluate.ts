import type { Mutation, Work } from './operation.ts';
import type { ModelPolicy, ModelRoute, ModelState, TenantLog } from './tenant-log.ts';

/**
 * The contract of the writes as the comments of the protos tell it, over plain maps: slow and simple on purpose, and it knows
 * nothing of how src/ does it. Where the two differ, one of them is wrong.
 */

export type Action = 'CREATED' | 'UPDATED' | 'ACTIVATED' | 'DEACTIVATED' | 'DELETED' | 'UNDELETED';

/** What one mutation does: to which resource, and what that then is; no action: nothing changes. */
export type Step = {
  readonly path: string;
  readonly action: Action | undefined;
  readonly route?: ModelRoute | undefined;
  readonly policy?: ModelPolicy | undefined;
};

export type Outcome =
  | { readonly kind: 'done'; readonly steps: readonly Step[] }
  /** With the reasons that may be given; `index`: of the write of a batch that is refused. */
  | { readonly kind: 'refused'; readonly reasons: ReadonlySet<string>; readonly index: number | undefined };

export type ShrinkProtection = { readonly sharePercentMax: number; readonly routesMin: number };

class Refusal extends Error {
  readonly reasons: ReadonlySet<string>;
  index: number | undefined;
  constructor(...reasons: string[]) {
    super(reasons.join());
    this.reasons = new Set(reasons);
  }
}

/** What a write comes to if the tenant is at a revision. */
export function evaluate(log: TenantLog, revision: number, work: Work, shrink: ShrinkProtection): Outcome {
  const draft = new Draft(log.at(revision), revision);
  try {
    const steps = stepsOf(log, revision, work, draft);
    draft.checkPolicies();
    if (!('force' in work && work.force)) draft.checkShrink(shrink);
    return { kind: 'done', steps };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { kind: 'refused', reasons: error.reasons, index: error.index };
  }
}

function stepsOf(log: TenantLog, revision: number, work: Work, draft: Draft): Step[] {
  switch (work.kind) {
    case 'single':
    case 'batch':
      return allSteps(work, draft);
    case 'rollback_route': {
      if (work.revision > revision) throw new Refusal('REVISION_IN_FUTURE');
      return [draft.restoreRoute(work.path, log.at(work.revision).routes.get(work.path), work.etag)];
    }
    case 'rollback_tenant': {
      if (work.revision > revision) throw new Refusal('REVISION_IN_FUTURE');
      const then = log.at(work.revision);
      const now = log.at(revision);
      const routes = [...now.routes].filter(([, route]) => route.revision > work.revision);
      const groups = new Set([...now.policies.keys(), ...then.policies.keys()]);
      return [
        ...routes.map(([path]) => draft.restoreRoute(path, then.routes.get(path), '')),
        ...[...groups].map((group) => draft.restorePolicy(group, then.policies.get(group))),
      ];
    }
  }
}

function allSteps(work: Extract<Work, { kind: 'single' | 'batch' }>, draft: Draft): Step[] {
  const mutations = work.kind === 'batch' ? work.mutations : [work.mutation];
  // What is invalid in itself is refused before anything else is looked at.
  if (mutations.some((mutation) => mutation.kind === 'create' && mutation.value.hosts.length === 0))
    throw new Refusal('INVALID_FIELDS');
  return mutations.map((mutation, index) => {
    try {
      return draft.mutate(mutation);
    } catch (error) {
      if (error instanceof Refusal && work.kind === 'batch') error.index = index;
      throw error;
    }
  });
}

class Draft {
  readonly #base: ModelState;
  readonly #routes: Map<string, ModelRoute>;
  readonly #policies: Map<string, ModelPolicy>;
  #revision: number;

  constructor(base: ModelState, revision: number) {
    this.#base = base;
    this.#routes = new Map(base.routes);
    this.#policies = new Map(base.policies);
    this.#revision = revision;
  }

  mutate(mutation: Mutation): Step {
    if (mutation.kind === 'set_policy') {
      const policy = this.#policies.get(mutation.group);
      if (mutation.etag !== '' && mutation.etag !== policy?.etag) throw new Refusal('ETAG_MISMATCH');
      return this.restorePolicy(mutation.group, mutation);
    }
    if (mutation.kind === 'delete_policy') {
      const policy = this.#policies.get(mutation.group);
      if (policy === undefined) throw new Refusal('TRAFFIC_POLICY_NOT_FOUND');
      if (mutation.etag !== '' && mutation.etag !== policy.etag) throw new Refusal('ETAG_MISMATCH');
      return this.restorePolicy(mutation.group, undefined);
    }
    const { path } = mutation;
    const route = this.#routes.get(path);
    switch (mutation.kind) {
      case 'create': {
        const { value, state } = mutation;
        if (route === undefined || route.state === 'DELETED')
          return this.#put(path, undefined, { value, state }, 'CREATED');
        if (route.state === state && same(route.value, value)) return { path, action: undefined, route };
        throw new Refusal('ALREADY_EXISTS');
      }
      case 'update':
        return this.#update(mutation, route);
      case 'activate':
        return this.#put(path, live(route, mutation.etag), { state: 'ACTIVE' }, 'ACTIVATED');
      case 'deactivate':
        return this.#put(path, live(route, mutation.etag), { state: 'INACTIVE' }, 'DEACTIVATED');
      case 'delete':
        return this.#delete(path, existing(route, mutation.etag));
      case 'undelete': {
        const found = existing(route, mutation.etag);
        return this.#put(path, found, { state: found.deletedIn ?? found.state }, 'UNDELETED');
      }
    }
  }

  /** "Gives a route the value that it had at a revision; one that did not exist then, or was deleted, is deleted." */
  restoreRoute(path: string, then: ModelRoute | undefined, etag: string): Step {
    const found = existing(this.#routes.get(path), etag);
    if (then === undefined || then.state === 'DELETED') return this.#delete(path, found);
    const { value, state } = then;
    const onlyState = same(value, found.value) && found.state !== state;
    return this.#put(path, found, { value, state }, restoringAction(found, then, onlyState));
  }

  restorePolicy(path: string, then: Pick<ModelPolicy, 'value'> | undefined): Step {
    const policy = this.#policies.get(path);
    if (then === undefined) {
      if (policy === undefined) return { path, action: undefined };
      this.#revision += 1;
      this.#policies.delete(path);
      return { path, action: 'DELETED', policy: undefined };
    }
    if (policy !== undefined && same(policy.value, then.value)) return { path, action: undefined, policy };
    this.#revision += 1;
    const next = { value: then.value, etag: unknownEtag, revision: this.#revision, wire: undefined };
    this.#policies.set(path, next);
    return { path, action: policy === undefined ? 'CREATED' : 'UPDATED', policy: next };
  }

  #update(mutation: Extract<Mutation, { kind: 'update' }>, route: ModelRoute | undefined): Step {
    const { path, value, mask, createAs, etag } = mutation;
    if (createAs !== undefined && (route === undefined || route.state === 'DELETED')) {
      const reasons: string[] = [];
      if (etag !== '' && etag !== route?.etag) reasons.push('ETAG_MISMATCH');
      // Nothing to create a route from: it has 1 to 1,000 endpoints.
      if (mask === 'labels') reasons.push('ROUTE_NOT_FOUND');
      if (reasons.length > 0) throw new Refusal(...reasons);
      const label = mask === 'endpoints' ? '' : value.label;
      return this.#put(path, undefined, { value: { hosts: value.hosts, label }, state: createAs }, 'CREATED');
    }
    const found = live(route, etag);
    const next = {
      hosts: mask === 'labels' ? found.value.hosts : value.hosts,
      label: mask === 'endpoints' ? found.value.label : value.label,
    };
    return this.#put(path, found, { value: next }, 'UPDATED');
  }

  #delete(path: string, found: ModelRoute): Step {
    return this.#put(path, found, { state: 'DELETED' }, 'DELETED');
  }

  /** "What already holds is not changed again, and takes no revision." */
  #put(
    path: string,
    before: ModelRoute | undefined,
    fields: Partial<Pick<ModelRoute, 'value' | 'state'>>,
    action: Action,
  ): Step {
    const value = fields.value ?? before?.value ?? { hosts: [], label: '' };
    const state = fields.state ?? before?.state ?? 'ACTIVE';
    if (before !== undefined && before.state === state && same(before.value, value))
      return { path, action: undefined, route: before };
    this.#revision += 1;
    const deletedIn = state === 'DELETED' && before?.state !== 'DELETED' ? before?.state : undefined;
    const route = { value, state, deletedIn, etag: unknownEtag, revision: this.#revision, wire: undefined };
    this.#routes.set(path, route);
    return { path, action, route };
  }

  /** "Every version it names has a route that is not deleted", and "a traffic policy still needs this version". */
  checkPolicies(): void {
    const reasons = new Set<string>();
    for (const [group, policy] of this.#policies) {
      const { defaultVersion, split } = policy.value;
      for (const version of [defaultVersion, ...split.map((branch) => branch.split('=')[0])]) {
        const path = `${group}/${version}`;
        if (version === '' || (this.#routes.get(path)?.state ?? 'DELETED') !== 'DELETED') continue;
        if (this.#base.policies.get(group) !== policy) reasons.add('VERSION_NOT_FOUND');
        if (this.#base.routes.get(path) !== this.#routes.get(path)) reasons.add('VERSION_IN_USE');
      }
    }
    if (reasons.size > 0) throw new Refusal(...reasons);
  }

  /** "Would delete or deactivate more than a share of the tenant's ACTIVE routes, but at least so many." */
  checkShrink({ sharePercentMax, routesMin }: ShrinkProtection): void {
    const active = [...this.#base.routes].filter(([, { state }]) => state === 'ACTIVE');
    const lost = active.filter(([path]) => this.#routes.get(path)?.state !== 'ACTIVE').length;
    if (lost > Math.max(routesMin, Math.floor((active.length * sharePercentMax) / 100)))
      throw new Refusal('SHRINK_REFUSED');
  }
}

function restoringAction(found: ModelRoute, then: ModelRoute, onlyState: boolean): Action {
  if (found.state === 'DELETED') return 'UNDELETED';
  if (!onlyState) return 'UPDATED';
  return then.state === 'ACTIVE' ? 'ACTIVATED' : 'DEACTIVATED';
}

/** Of what a mutation has made: nobody can know it before the commit. */
const unknownEtag = '(not known yet)';

/** "When set it must be the resource's current one, else ABORTED (ETAG_MISMATCH)." */
function existing(route: ModelRoute | undefined, etag: string): ModelRoute {
  if (route === undefined) throw new Refusal('ROUTE_NOT_FOUND');
  if (etag !== '' && etag !== route.etag) throw new Refusal('ETAG_MISMATCH');
  return route;
}

/** "FAILED_PRECONDITION: the route is deleted; undelete it first." Which of two mistakes is told first is left open. */
function live(route: ModelRoute | undefined, etag: string): ModelRoute {
  if (route?.state === 'DELETED' && etag !== '' && etag !== route.etag)
    throw new Refusal('ROUTE_DELETED', 'ETAG_MISMATCH');
  const found = existing(route, etag);
  if (found.state === 'DELETED') throw new Refusal('ROUTE_DELETED');
  return found;
}

function same(left: object, right: object): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}
