import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LiveUpdate, StreamHead } from '../../sidecar/sync/nats-stream-messages.ts';
import { StreamReading } from '../../sidecar/sync/nats-stream-reading.ts';
import { resourceOf, type Change } from '../../src/domain/change.ts';
import { createRoute, exampleKey, exampleTenantRecord, moveRoute } from '../fakes/example-configuration.ts';
import { SidecarHistory } from '../fakes/sidecar-history.ts';

// A run that fails prints its seed and path: `fc.assert(…, { seed, path })` replays it.

type Step =
  /** Something commits; it is stored at once, later or not yet; told, or lost. */
  | { readonly kind: 'commit'; readonly version: number; readonly told: boolean }
  /** The publisher stores what it has not stored yet, and says how far the stream is; the last only sometimes. */
  | { readonly kind: 'store'; readonly closed: boolean }
  /** The reader takes the next messages of the stream. */
  | { readonly kind: 'read'; readonly messages: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('commit' as const), version: fc.nat({ max: 3 }), told: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('store' as const), closed: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('read' as const), messages: fc.integer({ min: 1, max: 4 }) }) },
);

/** A tenant, its stream (the newest message of each subject, in the order of their numbers), and what it was like at each revision. */
class Truth {
  readonly history = new SidecarHistory('acme');
  readonly stream = new Map<string, { readonly sequence: number; readonly message: Change | 'head' }>();
  readonly at = new Map<number, ReturnType<SidecarHistory['snapshot']>>();
  head: StreamHead;
  #unstored: Change[] = [];
  #sequence = 0;

  constructor() {
    this.at.set(1, this.history.snapshot());
    this.head = this.store(true);
  }

  /** Creates, moves or deletes a route. */
  commit(version: number): LiveUpdate {
    const key = exampleKey(`v${version}`);
    const { revision: after } = this.history.position;
    const existing = this.history.state.find(key.service, key.environment)?.routes.get(key.version);
    const changes = this.history.commit(
      existing === undefined
        ? createRoute(key)
        : existing.lifecycle.state === 'DELETED'
          ? { kind: 'undelete_route', key, etag: '' }
          : after % 3 === 0
            ? { kind: 'delete_route', key, etag: '' }
            : moveRoute(key, `grpc://host-${after}:1`),
    );
    this.#unstored.push(...changes);
    this.at.set(this.history.position.revision, this.history.snapshot());
    const { position, state } = this.history;
    return { epoch: 'e', position, digest: state.digest.toString(), term: 1, after, changes, continued: false };
  }

  store(closed: boolean): StreamHead {
    for (const change of this.#unstored.splice(0)) this.#put(resourceOf(change.subject), change);
    if (!closed) return this.head;
    const { position, state } = this.history;
    this.head = {
      epoch: 'e',
      position,
      digest: state.digest.toString(),
      term: 1,
      resourceCount: state.digest.count,
      subjectCount: this.stream.size,
      purgedRevision: 0,
      tenant: exampleTenantRecord(),
      sequence: this.#sequence + 1,
    };
    this.#put('head', 'head');
    return this.head;
  }

  /** The messages after a sequence number, as they are now. */
  after(sequence: number): { readonly sequence: number; readonly message: Change | 'head' }[] {
    return [...this.stream.values()].filter((each) => each.sequence > sequence);
  }

  #put(subject: string, message: Change | 'head'): void {
    this.#sequence += 1;
    this.stream.delete(subject);
    this.stream.set(subject, { sequence: this.#sequence, message });
  }
}

test('however a stream is read while it is written, what is proven is what the tenant had at that revision', () => {
  let proofs = 0;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.array(step, { maxLength: 40 }), (before, during) => {
      const truth = new Truth();
      for (const each of before) {
        if (each.kind === 'commit') truth.commit(each.version);
        else if (each.kind === 'store') truth.store(each.closed);
      }
      const reading = new StreamReading(truth.head);
      let sequence = 0;
      const read = (messages: number): void => {
        for (const each of truth.after(sequence).slice(0, messages)) {
          sequence = each.sequence;
          if (each.message === 'head') reading.addHead(truth.head);
          else reading.addChange(each.message, each.sequence);
        }
      };
      for (const each of during) {
        if (each.kind === 'read') read(each.messages);
        else if (each.kind === 'store') truth.store(each.closed);
        else {
          const update = truth.commit(each.version);
          if (each.told) reading.addUpdate(update);
        }
        const provenBy = reading.provenBy();
        if (provenBy === undefined) continue;
        proofs++;
        const { routes, position } = reading.snapshotAt(provenBy);
        const there = truth.at.get(position.revision);
        expect(routes.toSorted(byVersion)).toEqual(there?.routes.toSorted(byVersion));
      }
      // Once all is stored, closed and read, it is proven.
      truth.store(true);
      read(Infinity);
      expect(reading.provenBy()?.position).toEqual(truth.history.position);
    }),
    { numRuns: 2_000 },
  );
  expect(proofs).toBeGreaterThan(1_000);
});

function byVersion(left: { key: { version: string } }, right: { key: { version: string } }): number {
  return left.key.version < right.key.version ? -1 : 1;
}
