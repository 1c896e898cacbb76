import { resourceOf, type Change } from '../../src/domain/change.ts';
import { ConfigurationDigest } from '../../src/domain/configuration-digest.ts';
import type { Route } from '../../src/domain/route.ts';
import type { Tenant } from '../../src/domain/tenant.ts';
import type { TrafficPolicy } from '../../src/domain/traffic-policy.ts';
import { natsSourceLimits } from '../limits.ts';
import type { HeldSnapshot } from '../snapshot/tenant-memory.ts';
import { etagAfter } from '../snapshot/move-digest.ts';
import type { Beacon, LiveUpdate, StreamHead } from './nats-stream-messages.ts';

/**
 * What reading a stream has brought to light so far: the newest change of each resource, and who said what about the whole. It is
 * read while it is written, so what was read is a mixture of moments until some beacon's digest proves that it is one.
 */
export class StreamReading {
  readonly epoch: string;
  readonly #newest = new Map<string, Change>();
  /** Of `#newest`, without what is deleted. */
  readonly #digest = new ConfigurationDigest();
  #newestRevision = 0;
  /** Those that speak of everything that was read. */
  #beacons: Beacon[] = [];
  #head: StreamHead;
  #tenant: { readonly tenant: Tenant; readonly revision: number };
  #sequence = 0;
  #anotherEpoch = false;

  constructor(head: StreamHead) {
    this.epoch = head.epoch;
    this.#head = head;
    this.#tenant = { tenant: head.tenant, revision: head.position.revision };
    this.addBeacon(head);
  }

  /** The last sequence that was read. */
  get sequence(): number {
    return this.#sequence;
  }

  /** The newest head that was read. */
  get head(): StreamHead {
    return this.#head;
  }

  /** The tenant, as of the newest that was read about it. */
  get tenant(): Tenant {
    return this.#tenant.tenant;
  }

  /** The stream was made anew meanwhile: nothing of this is of use. */
  get isOfAnotherEpoch(): boolean {
    return this.#anotherEpoch;
  }

  /** How many subjects with changes were read. */
  get subjectCount(): number {
    return this.#newest.size;
  }

  addHead(head: StreamHead): void {
    this.#sequence = Math.max(this.#sequence, head.sequence);
    if (head.epoch !== this.epoch) {
      this.#anotherEpoch = true;
      return;
    }
    if (head.position.revision >= this.#head.position.revision) this.#head = head;
    if (head.position.revision >= this.#tenant.revision)
      this.#tenant = { tenant: head.tenant, revision: head.position.revision };
    this.addBeacon(head);
  }

  addChange(change: Change, sequence = 0): void {
    this.#sequence = Math.max(this.#sequence, sequence);
    const { subject, revision } = change;
    this.#newestRevision = Math.max(this.#newestRevision, revision);
    if (subject.kind === 'tenant') {
      if (revision > this.#tenant.revision) this.#tenant = { tenant: subject.after, revision };
      return;
    }
    const name = resourceOf(subject);
    const before = this.#newest.get(name);
    if (before !== undefined) {
      if (before.revision >= revision) return;
      this.#toggle(name, before, 'remove');
    }
    this.#toggle(name, change, 'add');
    this.#newest.set(name, change);
  }

  /** An update that came meanwhile, whole. */
  addUpdate(update: LiveUpdate): void {
    if (update.epoch !== this.epoch) return;
    for (const change of update.changes) this.addChange(change);
    this.addBeacon(update);
  }

  addBeacon(beacon: Beacon): void {
    if (beacon.epoch !== this.epoch || beacon.position.revision < this.#newestRevision) return;
    this.#beacons.push(beacon);
    if (this.#beacons.length > natsSourceLimits.beaconsMax) this.#beacons.shift();
  }

  /** Who proves that what was read, all of it and nothing else, is what the tenant has at a position. */
  provenBy(): Beacon | undefined {
    const digest = this.#digest.toString();
    return this.#speakers().find((beacon) => beacon.digest === digest && this.#countAgrees(beacon));
  }

  /** Who proves that the changes that were read lead what is held to a position: what would be held has their digest. */
  provenByDigest(digest: string | undefined): Beacon | undefined {
    return digest === undefined ? undefined : this.#speakers().find((beacon) => beacon.digest === digest);
  }

  /** The changes after a revision, oldest first. */
  changesAfter(revision: number): Change[] {
    return [...this.#newest.values()]
      .filter((change) => change.revision > revision)
      .toSorted((left, right) => left.revision - right.revision);
  }

  /** All that was read, as the configuration at a position. */
  snapshotAt({ position }: Beacon): HeldSnapshot {
    const routes: Route[] = [];
    const policies: TrafficPolicy[] = [];
    for (const { subject } of this.#newest.values()) {
      if (subject.kind === 'route' && subject.after.lifecycle.state !== 'DELETED') routes.push(subject.after);
      if (subject.kind === 'traffic_policy' && subject.after !== undefined) policies.push(subject.after);
    }
    const tenant = { ...this.#tenant.tenant, revision: position.revision };
    return { position, routes, policies, tenant, digest: this.#digest };
  }

  #speakers(): readonly Beacon[] {
    this.#beacons = this.#beacons.filter(({ position }) => position.revision >= this.#newestRevision);
    return this.#beacons;
  }

  /** Only heads count; the others say as much by the digest alone. */
  #countAgrees(beacon: Beacon): boolean {
    return beacon !== this.#head || this.#head.resourceCount === this.#digest.count;
  }

  #toggle(name: string, { subject }: Change, how: 'add' | 'remove'): void {
    const etag = subject.kind === 'tenant' ? undefined : etagAfter(subject);
    if (etag !== undefined) this.#digest[how](name, etag);
  }
}
