import type { LRUCache } from 'lru-cache';
import { ChangeWindow } from '../../src/domain/change-window.ts';
import type { Change, ChangeSubject, Position } from '../../src/domain/change.ts';
import { ConfigurationDigest } from '../../src/domain/configuration-digest.ts';
import type { Route } from '../../src/domain/route.ts';
import type { TenantView } from '../../src/domain/tenant-view.ts';
import type { Tenant } from '../../src/domain/tenant.ts';
import type { TrafficPolicy } from '../../src/domain/traffic-policy.ts';
import { readGroupName } from '../../src/wire/group-name.ts';
import { ReceivedChange } from '../../src/wire/received-change.ts';
import { sidecarLimits } from '../limits.ts';
import { addToGroup, changeGroup, type Group, type GroupName } from './group.ts';
import { GroupIndex } from './group-index.ts';
import { addToDigest, moveDigest } from './move-digest.ts';
import { readRecords, type DiskSnapshot } from './disk-format.ts';
import type { Recency } from './recency.ts';
import type { Slabs } from './slabs.ts';
import { tenantRecord } from './tenant-record.ts';

/** Where groups are kept: their entries in one LRU, their bytes in slabs. */
export type Shelf = {
  readonly groups: LRUCache<string, Group>;
  readonly slabs: Slabs;
  readonly recency: Recency;
  /** The services that are subscribed to; undefined: all. Of any other, nothing that is not here is known. */
  readonly services: ReadonlySet<string> | undefined;
  /** Told of changes to what is not held, so that what others remember of it can go. No group: anything may have changed. */
  readonly onUnheldChange: (tenant: string, group: GroupName | undefined, revision: number) => void;
};

/** A tenant's configuration at a position. */
export type HeldSnapshot = SnapshotPart & {
  readonly position: Position;
  /** The tenant itself, where the source knows it; a tenant that is not deleted otherwise. */
  readonly tenant?: Tenant;
  /** Of the routes and policies, where the source has worked it out already: that of 100,000 takes 0.1 s. */
  readonly digest?: ConfigurationDigest;
};

/** Resources of a snapshot, none of them deleted. */
export type SnapshotPart = { readonly routes: readonly Route[]; readonly policies: readonly TrafficPolicy[] };

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
  readonly #slabs: Slabs;
  readonly #recency: Recency;
  readonly #services: ReadonlySet<string> | undefined;
  readonly #onUnheldChange: Shelf['onUnheldChange'];
  readonly #listeners = new Set<() => void>();
  readonly #keys = new Set<string>();
  readonly #index: GroupIndex<Group>;
  /** Of a snapshot that is still arriving. */
  readonly #staged = new Map<string, Group>();
  /** Keys of groups that have changed or gone since the last {@link beginSaving}; undefined: all have. */
  #touched: Set<string> | undefined;
  #window = new ChangeWindow({ revision: 0, commitId: '' }, sidecarLimits.window);
  #tenant: Tenant | undefined;
  #complete = false;
  /** Of what is held, while that is complete; undefined: unknown, as what was read from disk is. */
  #digest: ConfigurationDigest | undefined;
  #stagedDigest = new ConfigurationDigest();

  constructor(name: string, { groups, slabs, recency, services, onUnheldChange }: Shelf) {
    this.#name = name;
    this.#groups = groups;
    this.#slabs = slabs;
    this.#index = new GroupIndex(slabs);
    this.#recency = recency;
    this.#services = services;
    this.#onUnheldChange = onUnheldChange;
  }

  /** Present once a snapshot has arrived: only then can anything be answered. */
  get tenant(): Tenant | undefined {
    return this.#tenant;
  }

  /** Whether what is not here does not exist, of the services that are subscribed to. */
  get isComplete(): boolean {
    return this.#complete;
  }

  /** Whether memory can say what there is. Of a deleted tenant it can, whatever it holds: there is nothing. */
  knows(service: string, environment: string): boolean {
    if (this.#tenant?.state === 'DELETED') return true;
    if (this.#complete && this.#subscribes(service)) return true;
    return this.#groups.has(this.#keyOf(service, environment));
  }

  get position(): Position {
    return this.#window.end;
  }

  get window(): ChangeWindow {
    return this.#window;
  }

  /** The digest of what would be held after these changes; undefined: unknown, because not everything is held. */
  digestAfter(changes: readonly Change[]): string | undefined {
    if (!this.#complete || this.#services !== undefined || this.#digest === undefined) return undefined;
    const digest = this.#digest.copy();
    moveDigest(digest, changes, (subject) => this.#etagOf(subject));
    return digest.toString();
  }

  find(service: string, environment: string): Group | undefined {
    return this.#used(this.#groups.peek(this.#keyOf(service, environment)));
  }

  /** The same by the bytes of both, as they stand in a RouteKey. */
  seek(bytes: Buffer, start: number, end: number): Group | undefined {
    return this.#used(this.#index.find(bytes, start, end));
  }

  #used(group: Group | undefined): Group | undefined {
    if (group !== undefined && this.#recency.isFirstUse(group)) this.#groups.get(this.#keyOfGroup(group));
    return group;
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

  /** Takes a part of a snapshot, which is nothing to anybody until {@link replace} has the rest. */
  stage(part: SnapshotPart): void {
    addToDigest(this.#stagedDigest, part);
    this.#stage(part);
  }

  #stage({ routes, policies }: SnapshotPart): void {
    const parts = new Map<string, { routes: Route[]; policy: TrafficPolicy | undefined }>();
    const partOf = (service: string, environment: string): { routes: Route[]; policy: TrafficPolicy | undefined } => {
      const key = this.#keyOf(service, environment);
      let part = parts.get(key);
      if (part === undefined) parts.set(key, (part = { routes: [], policy: undefined }));
      return part;
    };
    for (const route of routes)
      if (this.#subscribes(route.key.service)) partOf(route.key.service, route.key.environment).routes.push(route);
    for (const policy of policies)
      if (this.#subscribes(policy.key.service)) partOf(policy.key.service, policy.key.environment).policy = policy;
    for (const [key, part] of parts) {
      const before = this.#staged.get(key);
      const group = addToGroup(before, { ...part, asOf: 0 });
      before?.release(this.#slabs);
      group.settle(this.#slabs, groupNameOf(key));
      this.#staged.set(key, group);
    }
  }

  /** Forgets the parts of a snapshot whose rest does not come. */
  unstage(): void {
    for (const group of this.#staged.values()) group.release(this.#slabs);
    this.#staged.clear();
    this.#stagedDigest = new ConfigurationDigest();
  }

  /** Takes a whole snapshot in the place of everything held, in one step: what was staged, and what comes with it. */
  replace({ position, routes, policies, tenant, digest }: HeldSnapshot): void {
    if (digest === undefined) addToDigest(this.#stagedDigest, { routes, policies });
    this.#stage({ routes, policies });
    // First, so that what is on its way out takes no room from what comes.
    this.clear();
    this.#complete = true;
    this.#digest = digest?.copy() ?? this.#stagedDigest;
    this.#stagedDigest = new ConfigurationDigest();
    this.#tenant = tenant ?? tenantRecord(this.#name, 'ACTIVE', position.revision);
    for (const [key, group] of this.#staged) {
      group.asOf = position.revision;
      this.#put(key, group);
    }
    this.#staged.clear();
    this.#window = new ChangeWindow(position, sidecarLimits.window);
    this.#onUnheldChange(this.#name, undefined, position.revision);
    this.#notify();
  }

  /** Applies what comes next, all of it in one step. Changes that are already here are passed over. */
  advance({ changes, position, coalescedAfter }: ChangeRange): void {
    if (position.revision <= this.position.revision) return;
    const fresh = changes.filter((change) => change.revision > this.position.revision);
    if (coalescedAfter === undefined) this.#window.append(fresh);
    else this.#window.appendCoalesced(fresh, position);
    if (this.#complete && this.#digest !== undefined)
      moveDigest(this.#digest, fresh, (subject) => this.#etagOf(subject));
    for (const change of fresh) this.#apply(change);
    for (const change of fresh) if (change instanceof ReceivedChange) change.settle();
    this.#notify();
  }

  /** Takes what a file of before knows: usable at once, and as old as it is. */
  restore({ state, position, complete, records }: DiskSnapshot): void {
    this.clear();
    this.#digest = undefined;
    this.#complete = complete;
    this.#tenant = tenantRecord(this.#name, state, position.revision);
    readRecords(records, ({ service, environment, group }) => {
      const key = this.#keyOf(service, environment);
      if (group === undefined) {
        this.#keys.delete(key);
        this.#groups.delete(key);
        return;
      }
      group.settle(this.#slabs, { service, environment });
      this.#put(key, group);
    });
    this.#window = new ChangeWindow(position, sidecarLimits.window);
    this.#notify();
  }

  /**
   * What is held, to be saved piece by piece while it changes: first all names, then, from one moment on, those of the groups that
   * have changed or gone since. Only one at a time.
   */
  beginSaving(): {
    readonly names: readonly GroupName[];
    changed(): readonly GroupName[];
    readonly isOutrun: () => boolean;
  } {
    const touched = (this.#touched = new Set<string>());
    return {
      names: Array.from(this.#keys, groupNameOf),
      changed: () => Array.from(touched, groupNameOf),
      isOutrun: () => this.#touched !== touched,
    };
  }

  /** Groups that are held. */
  get size(): number {
    return this.#keys.size;
  }

  /** As {@link find}, without counting as a use. */
  peek({ service, environment }: GroupName): Group | undefined {
    return this.#groups.peek(this.#keyOf(service, environment));
  }

  /** Whether all changes of these services arrive here; of none: of all services. */
  subscribesTo(services: readonly string[]): boolean {
    const subscribed = this.#services;
    if (subscribed === undefined) return true;
    return services.length > 0 && services.every((service) => subscribed.has(service));
  }

  /** The services that are subscribed to; null: all. */
  get services(): readonly string[] | null {
    return this.#services === undefined ? null : [...this.#services].toSorted();
  }

  /** Drops every group that is held. */
  clear(): void {
    this.#touched = undefined;
    for (const key of this.#keys) this.#groups.delete(key);
    this.#keys.clear();
    this.#index.clear();
    this.#complete = false;
  }

  /** A group goes, whatever for. */
  left(group: Group): void {
    this.#index.delete(group);
  }

  /** A group was evicted: what it held is unknown from now on. */
  forget(key: string): void {
    this.#touched?.add(key);
    this.#keys.delete(key);
    this.#complete = false;
  }

  #apply(change: Change): void {
    const { subject } = change;
    if (subject.kind === 'tenant') {
      this.#tenant = subject.after;
      this.#onUnheldChange(this.#name, undefined, change.revision);
      return;
    }
    const { service, environment } = subject.kind === 'route' ? subject.after.key : subject.key;
    if (!this.#subscribes(service)) return this.#onUnheldChange(this.#name, { service, environment }, change.revision);
    const key = this.#keyOf(service, environment);
    const held = this.#groups.peek(key);
    // Of an evicted group one change does not make a whole: it stays unknown.
    if (held === undefined && !this.#complete)
      return this.#onUnheldChange(this.#name, { service, environment }, change.revision);
    const changed = changeGroup(held, change);
    if (changed === undefined || changed === held) return;
    changed.settle(this.#slabs, { service, environment });
    this.#put(key, changed);
  }

  #etagOf(subject: Exclude<ChangeSubject, { kind: 'tenant' }>): string | undefined {
    const { service, environment } = subject.kind === 'route' ? subject.after.key : subject.key;
    const group = this.#groups.peek(this.#keyOf(service, environment));
    return subject.kind === 'route' ? group?.etagOf(subject.after.key.version) : group?.policy?.etag;
  }

  #put(key: string, group: Group): void {
    this.#touched?.add(key);
    this.#keys.add(key);
    this.#recency.put(group, group.bytes);
    this.#groups.set(key, group);
    if (this.#groups.has(key)) return this.#index.add(group);
    // Larger than the whole memory: lru-cache does not take it.
    group.release(this.#slabs);
    this.forget(key);
  }

  /** A source may tell of more than was subscribed to: it is not held. */
  #subscribes(service: string): boolean {
    return this.#services?.has(service) !== false;
  }

  #keyOf(service: string, environment: string): string {
    return `${this.#name}/${service}/${environment}`;
  }

  #keyOfGroup({ name: { buffer, start, end } }: Group): string {
    const { service, environment } = readGroupName(buffer, start, end);
    return this.#keyOf(service, environment);
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }
}

function groupNameOf(key: string): GroupName {
  const [, service = '', environment = ''] = key.split('/');
  return { service, environment };
}
