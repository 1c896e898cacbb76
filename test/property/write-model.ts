/**
 * The contract of the writes as the comments of the protos tell it, one sentence after the other, over a plain Map. It knows
 * nothing of how src/ does it, and is slow and simple on purpose: where the two differ, one of them is wrong.
 */

export type ModelState = 'ACTIVE' | 'INACTIVE' | 'DELETED';
export type ModelValue = { readonly endpoints: readonly string[]; readonly labels: string };

export type ModelRoute = ModelValue & {
  readonly state: ModelState;
  /** The state it was deleted in. */
  readonly deletedIn: ModelState | undefined;
  readonly revision: number;
  /** Of the change that created it. */
  readonly createdAt: number;
};

export type ModelPolicy = {
  readonly defaultVersion: string;
  readonly split: readonly string[];
  readonly revision: number;
  readonly createdAt: number;
};

/** An etag as a caller may send it: none, the current one, or one that is not current. */
export type ModelEtag = 'none' | 'current' | 'wrong';

export type ModelMutation =
  | { readonly kind: 'create_tenant'; readonly displayName: string }
  | { readonly kind: 'create_route'; readonly path: string; readonly value: ModelValue; readonly state: ModelState }
  | {
      readonly kind: 'update_route';
      readonly path: string;
      readonly value: ModelValue;
      readonly mask: 'endpoints' | 'labels' | 'both';
      readonly createAs: ModelState | undefined;
      readonly etag: ModelEtag;
    }
  | {
      readonly kind: 'activate' | 'deactivate' | 'delete' | 'undelete';
      readonly path: string;
      readonly etag: ModelEtag;
    }
  | {
      readonly kind: 'set_policy';
      readonly group: string;
      readonly defaultVersion: string;
      readonly split: readonly string[];
      readonly etag: ModelEtag;
    };

/** Of a transaction: what each mutation did (undefined: nothing), or the reasons for which it may be refused. */
export type ModelOutcome =
  | { readonly kind: 'done'; readonly actions: readonly (string | undefined)[] }
  | { readonly kind: 'refused'; readonly reasons: ReadonlySet<string> };

class Refusal extends Error {
  readonly reasons: ReadonlySet<string>;
  constructor(...reasons: string[]) {
    super(reasons.join());
    this.reasons = new Set(reasons);
  }
}

export class WriteModel {
  displayName: string | undefined;
  revision = 0;
  routes = new Map<string, ModelRoute>();
  policies = new Map<string, ModelPolicy>();

  /** "Takes effect wholly or not at all." */
  run(mutations: readonly ModelMutation[]): ModelOutcome {
    const before = {
      displayName: this.displayName,
      revision: this.revision,
      routes: this.routes,
      policies: this.policies,
    };
    this.routes = new Map(this.routes);
    this.policies = new Map(this.policies);
    try {
      const actions = mutations.map((mutation) => this.#mutate(mutation));
      this.#checkPolicies(before);
      return { kind: 'done', actions };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      Object.assign(this, before);
      return { kind: 'refused', reasons: error.reasons };
    }
  }

  #mutate(mutation: ModelMutation): string | undefined {
    if (mutation.kind === 'create_tenant') {
      // "Creates a tenant. Equal to what is there: nothing changes; different: ALREADY_EXISTS."
      if (this.displayName === mutation.displayName) return undefined;
      if (this.displayName !== undefined) throw new Refusal('ALREADY_EXISTS');
      this.displayName = mutation.displayName;
      this.revision += 1;
      return 'CREATED';
    }
    if (this.displayName === undefined) throw new Refusal('TENANT_NOT_FOUND');
    if (mutation.kind === 'set_policy') return this.#setPolicy(mutation);
    const { path } = mutation;
    const route = this.routes.get(path);
    switch (mutation.kind) {
      case 'create_route': {
        // "Equal to what is there: answers that, changes nothing; different: ALREADY_EXISTS. The name of a soft-deleted
        // route is free again."
        const { value, state } = mutation;
        if (route === undefined || route.state === 'DELETED') return this.#create(path, value, state);
        if (route.state === state && isEqual(route, value)) return undefined;
        throw new Refusal('ALREADY_EXISTS');
      }
      case 'update_route':
        return this.#update(mutation, route);
      case 'activate':
        return this.#put(path, this.#live(route, mutation.etag), { state: 'ACTIVE' }, 'ACTIVATED');
      case 'deactivate':
        return this.#put(path, this.#live(route, mutation.etag), { state: 'INACTIVE' }, 'DEACTIVATED');
      case 'delete': {
        // "Soft-deletes a route; deleting a deleted one changes nothing."
        const found = this.#existing(route, mutation.etag);
        if (found.state === 'DELETED') return undefined;
        return this.#put(path, found, { state: 'DELETED', deletedIn: found.state }, 'DELETED');
      }
      case 'undelete': {
        // "Brings a soft-deleted route back, in the state that it was deleted in; of a live route it changes nothing."
        const found = this.#existing(route, mutation.etag);
        if (found.state !== 'DELETED') return undefined;
        return this.#put(path, found, { state: found.deletedIn ?? 'ACTIVE', deletedIn: undefined }, 'UNDELETED');
      }
    }
  }

  /** "Replaces endpoints and labels, or those that the mask names." "Create the route where there is none." */
  #update(
    mutation: Extract<ModelMutation, { kind: 'update_route' }>,
    route: ModelRoute | undefined,
  ): string | undefined {
    const { path, value, mask, createAs, etag } = mutation;
    if (createAs !== undefined && (route === undefined || route.state === 'DELETED')) {
      const reasons: string[] = [];
      if (etag === 'wrong' || (etag === 'current' && route === undefined)) reasons.push('ETAG_MISMATCH');
      // Nothing to create a route from: it has 1 to 1,000 endpoints.
      if (mask === 'labels') reasons.push('ROUTE_NOT_FOUND');
      if (reasons.length > 0) throw new Refusal(...reasons);
      return this.#create(path, { ...value, labels: mask === 'endpoints' ? '' : value.labels }, createAs);
    }
    const found = this.#live(route, etag);
    const next = {
      endpoints: mask === 'labels' ? found.endpoints : value.endpoints,
      labels: mask === 'endpoints' ? found.labels : value.labels,
    };
    return this.#put(path, found, next, 'UPDATED');
  }

  /** "When set it must be the resource's current one, else ABORTED (ETAG_MISMATCH)." */
  #existing(route: ModelRoute | undefined, etag: ModelEtag): ModelRoute {
    if (route === undefined) throw new Refusal('ROUTE_NOT_FOUND');
    if (etag === 'wrong') throw new Refusal('ETAG_MISMATCH');
    return route;
  }

  /** "FAILED_PRECONDITION: the route is deleted; undelete it first." Which of two mistakes is told first is left open. */
  #live(route: ModelRoute | undefined, etag: ModelEtag): ModelRoute {
    if (route?.state === 'DELETED' && etag === 'wrong') throw new Refusal('ROUTE_DELETED', 'ETAG_MISMATCH');
    const found = this.#existing(route, etag);
    if (found.state === 'DELETED') throw new Refusal('ROUTE_DELETED');
    return found;
  }

  #create(path: string, value: ModelValue, state: ModelState): string {
    this.revision += 1;
    const { endpoints, labels } = value;
    const { revision } = this;
    this.routes.set(path, { endpoints, labels, state, deletedIn: undefined, revision, createdAt: revision });
    return 'CREATED';
  }

  /** "What already holds is not changed again, and takes no revision." */
  #put(path: string, route: ModelRoute, fields: Partial<ModelRoute>, action: string): string | undefined {
    const next = { ...route, ...fields };
    if (next.state === route.state && isEqual(next, route)) return undefined;
    this.revision += 1;
    this.routes.set(path, { ...next, revision: this.revision });
    return action;
  }

  /** "Creates or replaces a policy. Equal to what is there: nothing changes." */
  #setPolicy({
    group,
    defaultVersion,
    split,
    etag,
  }: Extract<ModelMutation, { kind: 'set_policy' }>): string | undefined {
    const policy = this.policies.get(group);
    if (etag === 'wrong' || (etag === 'current' && policy === undefined)) throw new Refusal('ETAG_MISMATCH');
    if (policy?.defaultVersion === defaultVersion && policy.split.join() === split.join()) return undefined;
    this.revision += 1;
    const { revision } = this;
    this.policies.set(group, { defaultVersion, split, revision, createdAt: policy?.createdAt ?? revision });
    return policy === undefined ? 'CREATED' : 'UPDATED';
  }

  /** "Every version it names has a route that is not deleted", and "a traffic policy still needs this version". */
  #checkPolicies(before: Pick<WriteModel, 'routes' | 'policies'>): void {
    const reasons = new Set<string>();
    for (const [group, policy] of this.policies) {
      for (const version of [policy.defaultVersion, ...policy.split.map((branch) => branch.split('=')[0])]) {
        const path = `${group}/${version}`;
        if (version === '' || (this.routes.get(path)?.state ?? 'DELETED') !== 'DELETED') continue;
        if (before.policies.get(group) !== policy) reasons.add('VERSION_NOT_FOUND');
        if (before.routes.get(path) !== this.routes.get(path)) reasons.add('VERSION_IN_USE');
      }
    }
    if (reasons.size > 0) throw new Refusal(...reasons);
  }
}

function isEqual(left: ModelValue, right: ModelValue): boolean {
  return left.endpoints.join() === right.endpoints.join() && left.labels === right.labels;
}
