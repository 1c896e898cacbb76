import { resourceOf } from '../../domain/change.ts';
import type { ReconcileReport } from '../../ports/stream-records.ts';
import type { TenantReplica } from '../tenant-replica.ts';
import { compareStream, type HeldEntry } from './compare-stream.ts';
import { relayLimits } from './limits.ts';
import type { OpenStream } from './open-stream.ts';
import type { RelayOptions } from './relay-options.ts';
import { readAll } from './repair-stream.ts';
import { metaOf } from './stream-meta.ts';

/** What a comparison of a stream with its tenant came to. */
export type Verification =
  | { readonly kind: 'equal'; readonly open: OpenStream; readonly report: ReconcileReport }
  | { readonly kind: 'different'; readonly reason: string }
  /** Memory was replaced meanwhile, or has moved on too far: to be done again. */
  | { readonly kind: 'overtaken' };

/**
 * Compares all that a stream has with all that memory has, except what is on its way into the stream, and removes tombstones that
 * were kept long enough. To be called while nothing else publishes to the stream.
 */
export async function verifyStream(
  options: RelayOptions,
  tenant: TenantReplica,
  open: OpenStream,
): Promise<Verification> {
  const { clock } = options;
  const startedAtMs = clock.monotonicMs();
  const entries = await readAll(options, tenant.tenant);
  const { window, state } = tenant;
  const { revision } = open.published;
  if (window !== open.window || !window.reaches(revision)) return { kind: 'overtaken' };
  const pending = new Set<string>();
  for (const unit of window.unitsAfter(revision))
    for (const { change } of unit.entries) pending.add(resourceOf(change.subject));
  const { missing, extraneous, tombstones, digest, resourceCount } = compareStream(entries, state, (resource) =>
    pending.has(resource),
  );
  if (missing.length > 0 || extraneous.length > 0) {
    const reason = `the stream lacked ${missing.length} entries, and had ${extraneous.length} that do not belong there`;
    return { kind: 'different', reason };
  }
  // Entry by entry nothing differs, so this can only be a mistake of ours: say so rather than go on.
  if (pending.size === 0 && (digest !== state.digest.toString() || resourceCount !== state.digest.count))
    return {
      kind: 'different',
      reason: `the digest of memory was ${state.digest.toString()}, that of its parts ${digest}`,
    };
  const expired = tombstones
    .filter(({ commitTimeMs }) => commitTimeMs < clock.wallMs() - options.tombstoneKeepMs)
    .slice(0, relayLimits.removalsMax);
  // A meta closes what was published before it, which is what memory is only while nothing is pending: else next time.
  const due = pending.size === 0 ? expired : [];
  const purged = await purge(options, tenant, { ...open, subjectCount: entries.length }, due);
  const report: ReconcileReport = {
    timeMs: clock.wallMs(),
    durationMs: Math.round(clock.monotonicMs() - startedAtMs),
    reason: 'scheduled',
    revision,
    entries: entries.length,
    republished: 0,
    removed: 0,
    purged: due.length,
    newEpoch: false,
  };
  return { kind: 'equal', open: purged, report };
}

/** First everybody can see that tombstones may be missing, and how few subjects are enough; then they are removed. */
async function purge(
  { stream, clock }: RelayOptions,
  tenant: TenantReplica,
  open: OpenStream,
  expired: readonly HeldEntry[],
): Promise<OpenStream> {
  if (expired.length === 0) return open;
  const purged = {
    ...open,
    subjectCount: open.subjectCount - expired.length,
    purgedRevision: expired.reduce((newest, { revision }) => Math.max(newest, revision), open.purgedRevision),
  };
  const meta = metaOf(tenant, purged, clock.wallMs());
  const sequence = await stream.append(tenant.tenant, { after: open.sequence, changes: [], meta });
  for (const entry of expired) await stream.remove(tenant.tenant, entry.subject, entry.sequence);
  return { ...purged, sequence };
}
