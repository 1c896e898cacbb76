import { LRUCache } from 'lru-cache';
import { ChangeWindow } from '../../src/domain/change-window.ts';
import type { Change, ChangeSubject, Position } from '../../src/domain/change.ts';
import { ConfigurationDigest } from '../../src/domain/configuration-digest.ts';
import type { Route } from '../../src/domain/route.ts';
import type { TenantView } from '../../src/domain/tenant-view.ts';
import type { Tenant } from '../../src/domain/tenant.ts';
import type { TrafficPolicy } from '../../src/domain/traffic-policy.ts';
import { sidecarLimits } from '../limits.ts';
import { changeGroup, createGroup, type Group } from './group.ts';
import { moveDigest } from './move-digest.ts';

/**
 * The configuration that a sidecar holds, of all its tenants together, in one LRU bounded in bytes. What does not fit is
 * dropped, the least recently asked for first, and is then *unknown*, not *absent*: {@link TenantMemory.isComplete}.
 */
export class SnapshotMemory {
  readonly #groups: LRUCache<string, Group>;
  readonly #tenants = new Map<string, TenantMemory>();

  constructor({ bytesMax }: { bytesMax: number }) {
    this.#groups = new LRUCache({
      maxSize: bytesMax,
      sizeCalculation: (group) => group.bytes,
      dispose: (_group, key, reason) => {
        if (reason === 'evict') this.#tenants.get(key.slice(0, key.indexOf('/')))?.forget(key);
      },
    });
  }

  /** The tenant's memory; empty and not ready until its first snapshot. */
  tenant(tenant: string): TenantMemory {
    let memory = this.#tenants.get(tenant);
    if (memory === undefined) this.#tenants.set(tenant, (memory = new TenantMemory(tenant, this.#groups)));
    return memory;
  }

  /** Lets go of a tenant that turned out not to exist, and of whatever is held of it. */
  release(tenant: string): void {
    this.#tenants.get(tenant)?.clear();
    this.#tenants.delete(tenant);
  }

  /** Bytes held, about. */
  get bytes(): number {
    return this.#groups.calculatedSize;
  }
}

/** A tenant's configuration at a position. */
export type HeldSnapshot = {
  readonly position: Position;
  readonly routes: readonly Route[];
  readonly policies: readonly TrafficPolicy[];
  /** The tenant itself, where the source knows it; a tenant that is not deleted otherwise. */
  readonly tenant?: Tenant;
  /** Of the routes and policies, where the source has worked it out already: that of 100,000 takes 0.1 s. */
  readonly digest?: ConfigurationDigest;
};

/** Changes that belong together: whole transactions, or a range of which only the newest change of each resource is here. */
export type ChangeRange = {
  /** In revision order. */
  readonly changes: readonly Change[];
  /** Where they end. */
  readonly position: Position;
  /** Set: a coalesced range; the revision before it. */
  readonly coalescedAfter: number | undefined;
};

/** One tenant in a sidecar's memory. */
export class TenantMemory implements TenantView {
  readonly #name: string;
  readonly #groups: LRUCache<string, Group>;
  readonly #listeners = new Set<() => void>();
  readonly #keys = new Set<string>();
  #window = new ChangeWindow({ revision: 0, commitId: '' }, sidecarLimits.window);
  #tenant: Tenant | undefined;
  #complete = false;
  /** Of what is held, while that is complete. */
  #digest = new ConfigurationDigest();

  constructor(name: string, groups: LRUCache<string, Group>) {
    this.#name = name;
    this.#groups = groups;
  }

  /** Present once a snapshot has arrived: only then can anything be answered. */
  get tenant(): Tenant | undefined {
    return this.#tenant;
  }

  /** Whether what is not here does not exist. */
  get isComplete(): boolean {
    return this.#complete;
  }

  get position(): Position {
    return this.#window.end;
  }

  get window(): ChangeWindow {
    return this.#window;
  }

  /** The digest of what would be held after these changes; undefined: unknown, because not everything is held. */
  digestAfter(changes: readonly Change[]): string | undefined {
    if (!this.#complete) return undefined;
    const digest = this.#digest.copy();
    moveDigest(digest, changes, (subject) => this.#etagOf(subject));
    return digest.toString();
  }

  find(service: string, environment: string): Group | undefined {
    return this.#groups.get(`${this.#name}/${service}/${environment}`);
  }

  /** Every group that is held. */
  all(): IterableIterator<Group> {
    return this.#held('');
  }

  /** Of one service. */
  ofService(service: string): IterableIterator<Group> {
    return this.#held(`${this.#name}/${service}/`);
  }

  *#held(prefix: string): IterableIterator<Group> {
    for (const key of this.#keys) {
      const group = key.startsWith(prefix) ? this.#groups.peek(key) : undefined;
      if (group !== undefined) yield group;
    }
  }

  subscribe(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Takes a whole snapshot in the place of everything held, in one step. */
  replace({ position, routes, policies, tenant, digest }: HeldSnapshot): void {
    // First, so that what is on its way out takes no room from what comes.
    this.clear();
    this.#complete = true;
    this.#digest = digest?.copy() ?? digestOf(routes, policies);
    this.#tenant = tenant ?? {
      tenant: this.#name,
      displayName: '',
      quotas: {},
      state: 'ACTIVE',
      etag: '',
      ownRevision: 0,
      revision: position.revision,
      createTimeMs: 0,
    };
    const routesByGroup = Map.groupBy(routes, ({ key }) => this.#keyOf(key.service, key.environment));
    const policyByGroup = new Map(
      policies.map((policy) => [this.#keyOf(policy.key.service, policy.key.environment), policy]),
    );
    for (const key of new Set([...routesByGroup.keys(), ...policyByGroup.keys()])) {
      this.#put(key, createGroup(routesByGroup.get(key) ?? [], policyByGroup.get(key), position.revision));
    }
    this.#window = new ChangeWindow(position, sidecarLimits.window);
    this.#notify();
  }

  /** Applies what comes next, all of it in one step. Changes that are already here are passed over. */
  advance({ changes, position, coalescedAfter }: ChangeRange): void {
    if (position.revision <= this.position.revision) return;
    const fresh = changes.filter((change) => change.revision > this.position.revision);
    if (coalescedAfter === undefined) this.#window.append(fresh);
    else this.#window.appendCoalesced(fresh, position);
    if (this.#complete) moveDigest(this.#digest, fresh, (subject) => this.#etagOf(subject));
    for (const change of fresh) this.#apply(change);
    this.#notify();
  }

  /** Drops every group that is held. */
  clear(): void {
    for (const key of this.#keys) this.#groups.delete(key);
    this.#keys.clear();
    this.#complete = false;
  }

  /** A group was evicted: what it held is unknown from now on. */
  forget(key: string): void {
    this.#keys.delete(key);
    this.#complete = false;
  }

  #apply(change: Change): void {
    const { subject } = change;
    if (subject.kind === 'tenant') {
      this.#tenant = subject.after;
      return;
    }
    const { service, environment } = subject.kind === 'route' ? subject.after.key : subject.key;
    const key = this.#keyOf(service, environment);
    const held = this.#groups.peek(key);
    // Of an evicted group one change does not make a whole: it stays unknown.
    if (held === undefined && !this.#complete) return;
    const changed = changeGroup(held, change);
    if (changed !== undefined && changed !== held) this.#put(key, changed);
  }

  #etagOf(subject: Exclude<ChangeSubject, { kind: 'tenant' }>): string | undefined {
    const { service, environment } = subject.kind === 'route' ? subject.after.key : subject.key;
    const group = this.#groups.peek(this.#keyOf(service, environment));
    return subject.kind === 'route' ? group?.routes.get(subject.after.key.version)?.etag : group?.policy?.etag;
  }

  #put(key: string, group: Group): void {
    this.#keys.add(key);
    this.#groups.set(key, group);
    // Larger than the whole memory: lru-cache does not take it.
    if (!this.#groups.has(key)) this.forget(key);
  }

  #keyOf(service: string, environment: string): string {
    return `${this.#name}/${service}/${environment}`;
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }
}

function digestOf(routes: readonly Route[], policies: readonly TrafficPolicy[]): ConfigurationDigest {
  const digest = new ConfigurationDigest();
  for (const { key, etag } of routes) digest.add(`${key.service}/${key.environment}/${key.version}`, etag);
  for (const { key, etag } of policies) digest.add(`${key.service}/${key.environment}`, etag);
  return digest;
}
