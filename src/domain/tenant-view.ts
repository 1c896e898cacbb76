import type { Change } from './change.ts';
import { ConfigurationDigest } from './configuration-digest.ts';
import { noRoutes, recount, type RouteCounts } from './route-counts.ts';
import type { Route } from './route.ts';
import type { Tenant } from './tenant.ts';
import type { TrafficPolicy, TrafficPolicyKey } from './traffic-policy.ts';

/** One service in one environment: what a lookup without a version chooses from. Deleted routes are kept: they can come back. */
export type ServiceEnvironment = {
  readonly policy: TrafficPolicy | undefined;
  /** By version. */
  readonly routes: ReadonlyMap<string, Route>;
};

/** The configuration of one tenant at one moment. */
export interface TenantView {
  /** Absent when there is no such tenant. */
  readonly tenant: Tenant | undefined;
  /** Absent when nothing was ever created there. */
  find(service: string, environment: string): ServiceEnvironment | undefined;
}

/** A view that writes can be worked out on: it has everything, and knows how much that is. */
export interface WritableView extends TenantView {
  readonly routeCounts: RouteCounts;
}

type MutableServiceEnvironment = { policy: TrafficPolicy | undefined; routes: Map<string, Route> };

/** A tenant's configuration in memory, moved forward change by change. */
export class TenantState implements WritableView {
  tenant: Tenant | undefined;
  routeCounts: RouteCounts = noRoutes;
  /** Of what is not deleted. */
  readonly digest = new ConfigurationDigest();
  readonly #services = new Map<string, Map<string, MutableServiceEnvironment>>();

  find(service: string, environment: string): ServiceEnvironment | undefined {
    return this.#services.get(service)?.get(environment);
  }

  /** Every service in every environment, in the order of their creation. */
  *all(): IterableIterator<ServiceEnvironment> {
    for (const environments of this.#services.values()) yield* environments.values();
  }

  /** One service in every environment. */
  *ofService(service: string): IterableIterator<ServiceEnvironment> {
    const environments = this.#services.get(service);
    if (environments !== undefined) yield* environments.values();
  }

  putRoute(route: Route): void {
    const { routes } = this.#at(route.key.service, route.key.environment);
    const { service, environment, version } = route.key;
    const before = routes.get(version);
    this.routeCounts = recount(this.routeCounts, before, route);
    const name = `${service}/${environment}/${version}`;
    if (before !== undefined && before.lifecycle.state !== 'DELETED') this.digest.remove(name, before.etag);
    if (route.lifecycle.state !== 'DELETED') this.digest.add(name, route.etag);
    routes.set(version, route);
  }

  putPolicy(policy: TrafficPolicy): void {
    this.#setPolicy(policy.key, policy);
  }

  /** Applies the next change; its revision becomes the tenant's. */
  apply({ subject, revision }: Change): void {
    switch (subject.kind) {
      case 'route':
        this.putRoute(subject.after);
        break;
      case 'traffic_policy':
        this.#setPolicy(subject.key, subject.after);
        break;
      case 'tenant':
        this.tenant = subject.after;
        break;
    }
    if (this.tenant !== undefined) this.tenant = { ...this.tenant, revision };
  }

  #setPolicy({ service, environment }: TrafficPolicyKey, policy: TrafficPolicy | undefined): void {
    const group = this.#at(service, environment);
    const name = `${service}/${environment}`;
    if (group.policy !== undefined) this.digest.remove(name, group.policy.etag);
    if (policy !== undefined) this.digest.add(name, policy.etag);
    group.policy = policy;
  }

  #at(service: string, environment: string): MutableServiceEnvironment {
    let environments = this.#services.get(service);
    if (environments === undefined)
      this.#services.set(service, (environments = new Map<string, MutableServiceEnvironment>()));
    let found = environments.get(environment);
    if (found === undefined) environments.set(environment, (found = { policy: undefined, routes: new Map() }));
    return found;
  }
}

/** What a view would be after changes that are not committed: reads fall through to the base, which is never touched. */
export class TenantDraft implements WritableView {
  readonly #base: WritableView;
  readonly #touched = new Map<string, MutableServiceEnvironment>();
  #tenant: Tenant | undefined;
  #routeCounts: RouteCounts;

  constructor(base: WritableView) {
    this.#base = base;
    this.#tenant = base.tenant;
    this.#routeCounts = base.routeCounts;
  }

  get tenant(): Tenant | undefined {
    return this.#tenant;
  }

  get routeCounts(): RouteCounts {
    return this.#routeCounts;
  }

  find(service: string, environment: string): ServiceEnvironment | undefined {
    return this.#touched.get(`${service}/${environment}`) ?? this.#base.find(service, environment);
  }

  apply({ subject, revision }: Change): void {
    switch (subject.kind) {
      case 'route': {
        const { service, environment, version } = subject.after.key;
        const { routes } = this.#touch(service, environment);
        this.#routeCounts = recount(this.#routeCounts, routes.get(version), subject.after);
        routes.set(version, subject.after);
        break;
      }
      case 'traffic_policy':
        this.#touch(subject.key.service, subject.key.environment).policy = subject.after;
        break;
      case 'tenant':
        this.#tenant = subject.after;
        break;
    }
    if (this.#tenant !== undefined) this.#tenant = { ...this.#tenant, revision };
  }

  /** Copies a group on its first write: a service has few versions, so this is small. */
  #touch(service: string, environment: string): MutableServiceEnvironment {
    const name = `${service}/${environment}`;
    let touched = this.#touched.get(name);
    if (touched === undefined) {
      const base = this.#base.find(service, environment);
      touched = { policy: base?.policy, routes: new Map(base?.routes) };
      this.#touched.set(name, touched);
    }
    return touched;
  }
}
