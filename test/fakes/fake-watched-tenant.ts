import { ChangeWindow, type WindowBounds } from '../../src/domain/change-window.ts';
import type { Change, ChangeSubject, Position } from '../../src/domain/change.ts';
import type { Route } from '../../src/domain/route.ts';
import { TenantState } from '../../src/domain/tenant-view.ts';
import type { TrafficPolicy } from '../../src/domain/traffic-policy.ts';
import type { WatchedTenant } from '../../src/serving/watch-source.ts';

/** What a test commits: a route or a policy gets a new value, or goes. Everything is in one environment. */
export type FakeWrite = {
  readonly kind: 'route' | 'policy';
  readonly service: string;
  /** Of a route; the default version of a policy. */
  readonly version: string;
  /** The endpoint's URL; undefined: deleted. */
  readonly url: string | undefined;
};

const environment = 'production';

/** A tenant whose history a test writes, as a replica or a sidecar holds it: the real state and window, and the whole log. */
export class FakeWatchedTenant implements WatchedTenant {
  readonly name: string;
  readonly #bounds: WindowBounds;
  readonly #monotonicMs: () => number;
  readonly #listeners = new Set<() => void>();
  #state = new TenantState();
  #window: ChangeWindow;
  #log: Change[] = [];
  #commits = 0;
  #subscriptions = 0;
  #onUnsubscribed: (() => void)[] = [];
  /** When this memory was certainly all there was. */
  verifiedAtMs = 0;
  /** The oldest change that the log still has. */
  keptFrom = 1;

  constructor(name: string, options: { bounds: WindowBounds; monotonicMs: () => number }) {
    this.name = name;
    this.#bounds = options.bounds;
    this.#monotonicMs = options.monotonicMs;
    this.#window = new ChangeWindow({ revision: 0, commitId: '' }, this.#bounds);
  }

  get window(): ChangeWindow {
    return this.#window;
  }

  get position(): Position {
    return this.#window.end;
  }

  get state(): TenantState {
    return this.#state;
  }

  /** Every change of the history as it is now. */
  get log(): readonly Change[] {
    return this.#log;
  }

  /** How many listeners there are: none when nobody watches. */
  get listeners(): number {
    return this.#listeners.size;
  }

  stalenessMs(): number {
    return this.#monotonicMs() - this.verifiedAtMs;
  }

  subscribe(listener: () => void): Disposable {
    this.#listeners.add(listener);
    this.#subscriptions++;
    return {
      [Symbol.dispose]: () => {
        this.#listeners.delete(listener);
        for (const wake of this.#onUnsubscribed.splice(0)) wake();
      },
    };
  }

  /** Resolves when nobody watches, and there have been so many subscriptions already. */
  async unwatched({ after = 0 }: { after?: number } = {}): Promise<void> {
    while (this.#listeners.size > 0 || this.#subscriptions < after)
      await new Promise<void>((resolve) => this.#onUnsubscribed.push(resolve));
  }

  /** One transaction. */
  commit(...writes: readonly FakeWrite[]): Position {
    const changes = this.#changesOf(writes);
    this.#log.push(...changes);
    this.#window.append(changes);
    for (const change of changes) this.#state.apply(change);
    this.verifiedAtMs = this.#monotonicMs();
    this.#notify();
    return this.position;
  }

  /** Takes in a range as a sidecar does that was told of it only coalesced. */
  commitCoalesced(transactions: readonly (readonly FakeWrite[])[]): Position {
    const changes: Change[] = [];
    for (const writes of transactions) {
      const made = this.#changesOf(writes);
      this.#log.push(...made);
      changes.push(...made);
      for (const change of made) this.#state.apply(change);
    }
    const kept = changes.filter(
      (change, index) => !changes.slice(index + 1).some((later) => nameOf(later.subject) === nameOf(change.subject)),
    );
    const last = changes.at(-1) as Change;
    this.#window.appendCoalesced(kept, { revision: last.revision, commitId: last.commitId });
    this.verifiedAtMs = this.#monotonicMs();
    this.#notify();
    return this.position;
  }

  /** The database was restored to a revision, and memory is taken anew. */
  restoreTo(revision: number): void {
    this.#log = this.#log.slice(0, revision);
    this.#state = new TenantState();
    for (const change of this.#log) this.#state.apply(change);
    const last = this.#log.at(-1);
    const position = { revision, commitId: last?.commitId ?? '' };
    this.#window = new ChangeWindow(position, this.#bounds);
    this.#notify();
  }

  /** Changes from a revision on, whole transactions; nothing when they are not kept. */
  older(from: number, limit: number): readonly Change[] {
    if (this.keptFrom >= from + limit) return [];
    const changes = this.#log.slice(Math.max(from, this.keptFrom) - 1, from + limit - 1);
    const last = changes.at(-1);
    return last === undefined
      ? []
      : [...changes, ...this.#log.slice(last.revision, Math.max(last.revision, last.commitRevision))];
  }

  #changesOf(writes: readonly FakeWrite[]): Change[] {
    const commitId = `commit-${++this.#commits}`;
    const first = (this.#log.at(-1)?.revision ?? 0) + 1;
    const draft = new Map<string, ChangeSubject>();
    return writes.map((write, index): Change => {
      const subject = this.#subjectOf(write, first + index, draft);
      draft.set(nameOf(subject), subject);
      return {
        tenant: this.name,
        revision: first + index,
        commitRevision: first + writes.length - 1,
        commitId,
        action: actionOf(subject),
        actor: 'alice',
        correlationId: '',
        commitTimeMs: 0,
        subject,
      };
    });
  }

  #subjectOf(
    { kind, service, version, url }: FakeWrite,
    revision: number,
    draft: Map<string, ChangeSubject>,
  ): ChangeSubject {
    const group = this.#state.find(service, environment);
    if (kind === 'policy') {
      const key = { tenant: this.name, service, environment };
      const earlier = draft.get(`${service} policy`);
      const before = earlier?.kind === 'traffic_policy' ? earlier.after : group?.policy;
      const after = url === undefined ? undefined : policyOf(key, version, revision);
      return { kind: 'traffic_policy', key, before, after };
    }
    const key = { tenant: this.name, service, environment, version };
    const earlier = draft.get(`${service} ${version}`);
    const before = earlier?.kind === 'route' ? earlier.after : group?.routes.get(version);
    return { kind: 'route', before, after: routeOf(key, url, revision) };
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }
}

const provenance = { etag: 'etag', createTimeMs: 0, updateTimeMs: 0, updatedBy: 'alice' };

function routeOf(key: Route['key'], url: string | undefined, revision: number): Route {
  return {
    key,
    endpoints: [{ url: url ?? 'grpc://gone:1', weight: 1, zone: '', priority: 0, labels: {} }],
    labels: {},
    lifecycle: url === undefined ? { state: 'DELETED', deletedFrom: 'ACTIVE' } : { state: 'ACTIVE' },
    revision,
    ...provenance,
  };
}

function policyOf(key: TrafficPolicy['key'], defaultVersion: string, revision: number): TrafficPolicy {
  return { key, defaultVersion, split: [], rules: [], revision, ...provenance };
}

function actionOf(subject: ChangeSubject): Change['action'] {
  const gone = subject.kind === 'route' ? subject.after.lifecycle.state === 'DELETED' : subject.after === undefined;
  if (gone) return 'DELETED';
  return subject.before === undefined ? 'CREATED' : 'UPDATED';
}

/** Names a resource; the same for all changes of one. */
function nameOf(subject: ChangeSubject): string {
  if (subject.kind === 'tenant') return 'tenant';
  if (subject.kind === 'traffic_policy') return `${subject.key.service} policy`;
  return `${subject.after.key.service} ${subject.after.key.version}`;
}
