import type { StreamHead } from '../../ports/change-stream.ts';
import type { ReconcileReport } from '../../ports/stream-records.ts';
import type { TenantReplica } from '../tenant-replica.ts';
import { compareStream, heldEntry, type HeldEntry } from './compare-stream.ts';
import { NotLeadingError, type OpenStream } from './open-stream.ts';
import type { RelayOptions } from './relay-options.ts';
import { metaOf } from './stream-meta.ts';

export type Repair = { readonly open: OpenStream; readonly report: ReconcileReport };

/**
 * Makes a stream what the tenant is, under a new epoch: whoever listens takes it anew, so neither old sequence numbers nor the
 * absence of tombstones mislead anybody. Until the meta that closes it, those who compare digests do not believe what they see.
 */
export async function repairStream(
  options: RelayOptions,
  tenant: TenantReplica,
  { head, reason }: { readonly head: StreamHead; readonly reason: string },
): Promise<Repair> {
  const { stream, leadership, records, clock } = options;
  const startedAtMs = clock.monotonicMs();
  const entries = head.sequence === 0 ? [] : await readAll(options, tenant.tenant);
  // Nothing is waited for from here until the batch is made: all of it is of one moment.
  const { position, window } = tenant;
  const difference = compareStream(entries, tenant.state, () => false);
  const { term } = leadership;
  if (term === undefined) throw new NotLeadingError('the right to publish was lost');
  const { subjectCount } = difference;
  const epoch = options.newEpoch();
  // There may be no tombstone of what was deleted before this.
  const purgedRevision = position.revision;
  const meta = metaOf(tenant, { epoch, subjectCount, purgedRevision, term }, clock.wallMs());
  const sequence = await stream.append(tenant.tenant, {
    after: head.sequence,
    changes: difference.missing,
    meta: undefined,
  });
  for (const entry of difference.extraneous) await stream.remove(tenant.tenant, entry.subject, entry.sequence);
  const last = await stream.append(tenant.tenant, { after: sequence, changes: [], meta });
  const report: ReconcileReport = {
    timeMs: clock.wallMs(),
    durationMs: Math.round(clock.monotonicMs() - startedAtMs),
    reason,
    revision: position.revision,
    entries: entries.length,
    republished: difference.missing.length,
    removed: difference.extraneous.length,
    purged: 0,
    newEpoch: true,
  };
  await records.write([{ tenant: tenant.tenant, epoch, sequence: last, revision: position.revision, report }]);
  const { createTime } = head;
  return {
    open: { epoch, sequence: last, createTime, published: position, window, subjectCount, purgedRevision, term },
    report,
  };
}

/** Every entry of a stream. */
export async function readAll({ stream }: RelayOptions, tenant: string): Promise<HeldEntry[]> {
  const entries: HeldEntry[] = [];
  for await (const entry of stream.entries(tenant)) entries.push(heldEntry(entry));
  return entries;
}
