import type { Change, Position } from './change.ts';
import type { Tenant } from './tenant.ts';

/** Where a tenant's stream is: the message that closes every batch. In words: proto/trafficmanager/v1/change_stream.proto. */
export type StreamMeta = {
  readonly epoch: string;
  readonly position: Position;
  /** Of everything that is not deleted at that position. */
  readonly digest: string;
  readonly resourceCount: number;
  /** Subjects with changes, tombstones included: so many at least. */
  readonly subjectCount: number;
  /** Tombstones of changes up to this revision may be gone. */
  readonly purgedRevision: number;
  readonly tenant: Tenant;
  readonly term: number;
  /** The publisher's wall clock, ms since the epoch. */
  readonly publishTimeMs: number;
};

/** Changes as they commit, in order and without a gap; none of them: a beacon. */
export type StreamUpdate = {
  readonly epoch: string;
  /** The revision before the first change; in a beacon that of the position. */
  readonly after: number;
  readonly position: Position;
  /** Of everything that is not deleted at that position. */
  readonly digest: string;
  readonly term: number;
  readonly changes: readonly Change[];
};
