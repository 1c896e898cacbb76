import { expect, test } from 'vitest';
import { planCatchUp, type CatchUp, type HeldPlace } from '../../../sidecar/sync/nats-catch-up.ts';
import type { Beacon, StreamHead } from '../../../sidecar/sync/nats-stream-messages.ts';
import { exampleTenantRecord } from '../../fakes/example-configuration.ts';

function held(revision: number, fields: Partial<HeldPlace> = {}): HeldPlace {
  return {
    position: { revision, commitId: `c${revision}` },
    digest: `d${revision}`,
    tenantState: 'ACTIVE',
    place: { epoch: 'e1', sequence: 40 },
    ...fields,
  };
}

function beacon(revision: number, fields: Partial<Beacon> = {}): Beacon {
  return {
    epoch: 'e1',
    position: { revision, commitId: `c${revision}` },
    digest: `d${revision}`,
    term: 1,
    ...fields,
  };
}

function head(revision: number, fields: Partial<StreamHead> = {}): StreamHead {
  const counts = { resourceCount: 1, subjectCount: 1, purgedRevision: 0 };
  return { ...beacon(revision), ...counts, sequence: 50, tenant: exampleTenantRecord(), ...fields };
}

type Row = readonly [
  what: string,
  held: HeldPlace | undefined,
  head: StreamHead | undefined,
  relay: Beacon | undefined,
  plan: CatchUp['kind'],
];

const rows: readonly Row[] = [
  ['no stream', held(5), undefined, beacon(7), 'wait'],
  ['no stream, nothing held', undefined, undefined, undefined, 'wait'],
  ['nothing held', undefined, head(5), beacon(5), 'read_all'],
  ['nothing held, and nobody but the stream', undefined, head(5), undefined, 'read_all'],
  ['nothing held, and the relay speaks of a stream to come', undefined, head(5), beacon(5, { epoch: 'e2' }), 'wait'],
  ['all is held', held(5), head(5), beacon(5), 'nothing_missing'],
  ['all is held, and nobody but the stream', held(5), head(5), undefined, 'nothing_missing'],
  [
    'all is held, of a stream that was made anew',
    held(5),
    head(5, { epoch: 'e2' }),
    beacon(5, { epoch: 'e2' }),
    'nothing_missing',
  ],
  [
    'not all fits in memory, and the position is the same',
    held(5, { digest: undefined }),
    head(5),
    beacon(5),
    'nothing_missing',
  ],
  ['the same position with something else in it', held(5, { digest: 'x' }), head(5), beacon(5), 'read_all'],
  [
    'the same revision of another history',
    held(5, { position: { revision: 5, commitId: 'x' } }),
    head(5),
    beacon(5),
    'read_all',
  ],
  ['changes were missed', held(5), head(7), beacon(7), 'read_after'],
  ['changes were missed, and nobody but the stream', held(5), head(7), undefined, 'read_after'],
  ['changes were missed, more than the stream has yet', held(5), head(7), beacon(9), 'read_after'],
  ['tombstones may be missing', held(5), head(7, { purgedRevision: 6 }), beacon(7), 'read_all'],
  ['tombstones that may be missing were held', held(5), head(7, { purgedRevision: 5 }), beacon(7), 'read_after'],
  ['not all fits in memory', held(5, { digest: undefined }), head(7), beacon(7), 'read_all'],
  [
    'the tenant was deleted',
    held(5),
    head(7, { tenant: exampleTenantRecord({ state: 'DELETED' }) }),
    undefined,
    'read_all',
  ],
  ['another stream, and the relay says so', held(5), head(7, { epoch: 'e2' }), beacon(7, { epoch: 'e2' }), 'read_all'],
  ['the database was taken back in time', held(5), head(3, { epoch: 'e2' }), beacon(3, { epoch: 'e2' }), 'read_all'],
  ['another stream, and nobody says so', held(5), head(7, { epoch: 'e2' }), undefined, 'wait'],
  ['an older copy of the stream, and nobody says so', held(5), head(3), undefined, 'wait'],
  ['an older copy of the stream, and the relay is where it was', held(5), head(3), beacon(5), 'nothing_missing'],
  ['an older copy of the stream, and the relay is further', held(5), head(3), beacon(6), 'wait'],
  ['the relay speaks of another stream than is there', held(5), head(3, { epoch: 'e0' }), beacon(5), 'wait'],
  ['the stream has not got it yet, nor had the relay when it spoke', held(5), head(3), beacon(4), 'nothing_missing'],
  ['ahead of the stream, with something that the relay has not', held(5, { digest: 'x' }), head(3), beacon(5), 'wait'],
  [
    'held since before this process, and the stream went on',
    held(5, { place: undefined }),
    head(7),
    undefined,
    'read_all',
  ],
  [
    'held since before this process, and the stream is older',
    held(5, { place: undefined }),
    head(3),
    undefined,
    'wait',
  ],
];

test.each(rows)('%s', (_what, holds, stands, says, kind) => {
  expect(planCatchUp(holds, stands, says).kind).toBe(kind);
});

test('what was missed is read from where the stream was left', () => {
  expect(planCatchUp(held(5), head(7), beacon(7))).toEqual({ kind: 'read_after', sequence: 40 });
});
