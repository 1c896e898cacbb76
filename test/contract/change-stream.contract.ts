import { describe, expect, test } from 'vitest';
import type { Change } from '../../src/domain/change.ts';
import type { StreamMeta } from '../../src/domain/stream-position.ts';
import { ChangeStreamError, type ChangeStream, type StreamEntry } from '../../src/ports/change-stream.ts';
import { exampleChanges } from '../fakes/example-changes.ts';
import { exampleTenant as tenant, exampleTenantRecord } from '../fakes/example-configuration.ts';

/** Two writers to one server. */
export type OpenedStreams = AsyncDisposable & {
  readonly streams: readonly [ChangeStream, ChangeStream];
  /** Removes a tenant's stream, as an operator would by mistake. */
  destroy(tenant: string): Promise<void>;
};

export function exampleMeta(revision: number, fields: Partial<StreamMeta> = {}): StreamMeta {
  return {
    epoch: 'epoch',
    position: { revision, commitId: `commit-${revision}` },
    digest: '0123456789abcdef',
    resourceCount: revision,
    subjectCount: revision,
    purgedRevision: 0,
    // The wire does not carry the revision of the tenant's own last change.
    tenant: exampleTenantRecord({ ownRevision: 0, revision }),
    term: 1,
    publishTimeMs: 1_767_225_600_000,
    ...fields,
  };
}

async function entriesOf(stream: ChangeStream): Promise<StreamEntry[]> {
  const entries: StreamEntry[] = [];
  for await (const entry of stream.entries(tenant)) entries.push(entry);
  return entries;
}

async function failureOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return error instanceof ChangeStreamError ? error.failure : `no failure: ${String(error)}`;
}

/** The same route again, later: the later change takes the earlier one's place in the stream. */
function again(change: Change, revision: number): Change {
  if (change.subject.kind !== 'route') throw new Error('an example is of a route');
  const after = { ...change.subject.after, revision, etag: `etag-${revision}` };
  const commitId = `commit-${revision}`;
  return {
    ...change,
    revision,
    commitRevision: revision,
    commitId,
    action: 'UPDATED',
    subject: { ...change.subject, after },
  };
}

export function describeChangeStream(name: string, open: () => Promise<OpenedStreams>): void {
  describe(`the change stream of ${name}`, () => {
    test('has no head before it is made, and is empty after', async () => {
      await using opened = await open();
      const [stream] = opened.streams;
      expect(await stream.head(tenant)).toBeUndefined();
      await stream.create(tenant);
      expect(await stream.head(tenant)).toMatchObject({ sequence: 0, subjectCount: 0, meta: undefined });
      expect(await entriesOf(stream)).toEqual([]);
    });

    test('can be made by everybody, and stays what it is', async () => {
      await using opened = await open();
      const [stream, other] = opened.streams;
      await stream.create(tenant);
      await stream.append(tenant, { after: 0, changes: exampleChanges(1, 1), meta: undefined });
      await other.create(tenant);
      expect(await other.head(tenant)).toMatchObject({ sequence: 1, subjectCount: 1 });
    });

    test('stores a batch in order, closed by its meta, and gives back what was put in', async () => {
      await using opened = await open();
      const [stream, other] = opened.streams;
      await stream.create(tenant);
      const changes = exampleChanges(1, 2, 1);
      const meta = exampleMeta(3);
      expect(await stream.append(tenant, { after: 0, changes, meta })).toBe(4);
      expect(await other.head(tenant)).toMatchObject({ sequence: 4, subjectCount: 3, meta });
      const entries = await entriesOf(other);
      expect(entries.map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
      expect(entries.map(({ change }) => change)).toEqual(changes);
    });

    test('stores more than is sent ahead of its acknowledgements', async () => {
      await using opened = await open();
      const [stream] = opened.streams;
      await stream.create(tenant);
      const changes = exampleChanges(1, 600);
      expect(await stream.append(tenant, { after: 0, changes, meta: exampleMeta(600) })).toBe(601);
      expect((await entriesOf(stream)).map(({ change }) => change?.revision)).toEqual(
        changes.map(({ revision }) => revision),
      );
    });

    test('an empty batch stores nothing and is where it was', async () => {
      await using opened = await open();
      const [stream] = opened.streams;
      await stream.create(tenant);
      expect(await stream.append(tenant, { after: 0, changes: [], meta: undefined })).toBe(0);
    });

    test('keeps the newest of each resource', async () => {
      await using opened = await open();
      const [stream] = opened.streams;
      await stream.create(tenant);
      const [first, second] = exampleChanges(1, 1, 1) as [Change, Change];
      const third = again(first, 3);
      await stream.append(tenant, { after: 0, changes: [first, second], meta: exampleMeta(2) });
      await stream.append(tenant, { after: 3, changes: [third], meta: exampleMeta(3, { subjectCount: 2 }) });
      expect((await entriesOf(stream)).map(({ change }) => change)).toEqual([second, third]);
      expect(await stream.head(tenant)).toMatchObject({
        sequence: 5,
        subjectCount: 2,
        meta: exampleMeta(3, { subjectCount: 2 }),
      });
    });

    test('refuses a batch that does not follow on its last message, and stores nothing of it', async () => {
      await using opened = await open();
      const [stream, late] = opened.streams;
      await stream.create(tenant);
      const [old, fresh] = exampleChanges(1, 1, 1) as [Change, Change];
      const newer = again(old, 3);
      await stream.append(tenant, { after: 0, changes: [newer, fresh], meta: undefined });
      // What a leader had ready when it was paused.
      expect(await failureOf(late.append(tenant, { after: 0, changes: [old], meta: exampleMeta(1) }))).toBe('moved');
      expect(await failureOf(late.append(tenant, { after: 1, changes: [old], meta: exampleMeta(1) }))).toBe('moved');
      expect(await failureOf(late.append(tenant, { after: 3, changes: [old], meta: exampleMeta(1) }))).toBe('moved');
      expect((await entriesOf(stream)).map(({ change }) => change)).toEqual([newer, fresh]);
      expect(await stream.head(tenant)).toMatchObject({ sequence: 2, meta: undefined });
    });

    test('refuses all of a batch whose first place another writer has taken', async () => {
      await using opened = await open();
      const [stream, late] = opened.streams;
      await stream.create(tenant);
      const [old, fresh, next] = exampleChanges(1, 1, 1, 1) as [Change, Change, Change];
      await stream.append(tenant, { after: 0, changes: [again(old, 4)], meta: undefined });
      // Its second message expects the number that the stream has come to.
      expect(
        await failureOf(late.append(tenant, { after: 0, changes: [fresh, old, next], meta: exampleMeta(3) })),
      ).toBe('moved');
      expect((await entriesOf(stream)).map(({ change }) => change?.revision)).toEqual([4]);
      expect(await stream.head(tenant)).toMatchObject({ sequence: 1, meta: undefined });
    });

    test('of two writers at one place, one is refused, and their batches are not mixed', async () => {
      await using opened = await open();
      const [left, right] = opened.streams;
      await left.create(tenant);
      const changes = exampleChanges(1, ...Array.from({ length: 40 }, () => 1));
      const halves = [changes.slice(0, 20), changes.slice(20)] as const;
      const outcomes = await Promise.allSettled([
        left.append(tenant, { after: 0, changes: halves[0], meta: exampleMeta(1, { term: 1 }) }),
        right.append(tenant, { after: 0, changes: halves[1], meta: exampleMeta(1, { term: 2 }) }),
      ]);
      const winner = outcomes.findIndex(({ status }) => status === 'fulfilled');
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      expect((await entriesOf(left)).map(({ change }) => change)).toEqual(halves[winner]);
      expect(await left.head(tenant)).toMatchObject({ sequence: 21, meta: exampleMeta(1, { term: winner + 1 }) });
    });

    test('removes what a subject had, but not what it got since', async () => {
      await using opened = await open();
      const [stream] = opened.streams;
      await stream.create(tenant);
      const [first, second] = exampleChanges(1, 1, 1) as [Change, Change];
      await stream.append(tenant, { after: 0, changes: [first, second], meta: undefined });
      const [one, two] = (await entriesOf(stream)) as [StreamEntry, StreamEntry];
      const third = again(first, 3);
      await stream.append(tenant, { after: 2, changes: [third], meta: undefined });
      await stream.remove(tenant, one.subject, one.sequence);
      await stream.remove(tenant, two.subject, two.sequence);
      expect((await entriesOf(stream)).map(({ change }) => change)).toEqual([third]);
      expect(await stream.head(tenant)).toMatchObject({ sequence: 3, subjectCount: 1 });
    });

    test('that was removed takes nothing, and is another one when it is made again', async () => {
      await using opened = await open();
      const [stream] = opened.streams;
      await stream.create(tenant);
      const before = await stream.head(tenant);
      await stream.append(tenant, { after: 0, changes: exampleChanges(1, 1), meta: exampleMeta(1) });
      await opened.destroy(tenant);
      expect(await stream.head(tenant)).toBeUndefined();
      expect(await failureOf(stream.append(tenant, { after: 2, changes: exampleChanges(2, 1), meta: undefined }))).toBe(
        'moved',
      );
      await stream.create(tenant);
      const after = await stream.head(tenant);
      expect(after).toMatchObject({ sequence: 0, subjectCount: 0, meta: undefined });
      expect(after?.createTime).not.toBe(before?.createTime);
    });

    test('tells and is told of tenants one by one', async () => {
      await using opened = await open();
      const [stream] = opened.streams;
      await stream.create('acme');
      await stream.create('globex');
      await stream.append('acme', { after: 0, changes: exampleChanges(1, 1), meta: exampleMeta(1) });
      expect(await stream.head('globex')).toMatchObject({ sequence: 0, meta: undefined });
    });
  });
}
