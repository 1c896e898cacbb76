import type { StreamMeta, StreamUpdate } from '../../domain/stream-position.ts';
import type { TenantReplica } from '../tenant-replica.ts';

/** A meta of memory as it is now. */
export function metaOf(
  { tenant, state, position }: TenantReplica,
  { epoch, subjectCount, purgedRevision, term }: Pick<StreamMeta, 'epoch' | 'subjectCount' | 'purgedRevision' | 'term'>,
  publishTimeMs: number,
): StreamMeta {
  if (state.tenant === undefined) throw new Error(`tenant ${tenant} has no changes yet`);
  return {
    epoch,
    position,
    digest: state.digest.toString(),
    resourceCount: state.digest.count,
    subjectCount,
    purgedRevision,
    tenant: state.tenant,
    term,
    publishTimeMs,
  };
}

/** Where memory is now, without any change. */
export function beaconOf(
  { state, position }: TenantReplica,
  { epoch, term }: Pick<StreamUpdate, 'epoch' | 'term'>,
): StreamUpdate {
  return { epoch, term, after: position.revision, position, digest: state.digest.toString(), changes: [] };
}
