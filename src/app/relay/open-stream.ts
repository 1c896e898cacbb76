import type { ChangeWindow } from '../../domain/change-window.ts';
import type { Position } from '../../domain/change.ts';
import type { StreamMeta } from '../../domain/stream-position.ts';
import type { StreamHead } from '../../ports/change-stream.ts';
import type { TenantReplica } from '../tenant-replica.ts';
import type { RelayOptions } from './relay-options.ts';

/** A stream that this replica publishes to: where it is, as it was left by this replica. */
export type OpenStream = {
  readonly epoch: string;
  readonly sequence: number;
  readonly createTime: string;
  /** Everything up to here is in the stream. */
  readonly published: Position;
  /** The memory that `published` is a place in; another one is another history. */
  readonly window: ChangeWindow;
  /** Subjects with changes: so many at least. */
  readonly subjectCount: number;
  readonly purgedRevision: number;
  /** The term in which it was opened. */
  readonly term: number;
};

/** What is known of a stream from before it was looked at. */
export type KnownStream = {
  readonly epoch: string;
  readonly sequence: number;
  readonly revision: number;
  /** Undefined: not known. */
  readonly subjectCount?: number;
};

/** A look at a stream: it is what it should be, or what is wrong with it. */
export type Look =
  | { readonly kind: 'sound'; readonly open: OpenStream }
  | {
      readonly kind: 'suspicious';
      readonly head: StreamHead;
      readonly reason: string;
      /** The tenant never had a stream: filling it repairs nothing. */
      readonly isNew: boolean;
    };

/** The right to publish is not this replica's (any more): nothing is wrong. */
export class NotLeadingError extends Error {}

/**
 * Looks where a stream is, and makes it if it is missing. `wrong`: what a comparison has found. The order is what makes it safe to publish afterwards:
 *
 * 1. The stream's sequence number is read. Whatever is published by anybody after that makes this replica's batches refused.
 * 2. The database confirms that this replica leads. So nobody else may publish after 1, and be right.
 * 3. Memory catches up with the database. Whatever the stream had at 1 was committed before, so memory is as new as that: no older
 *    value will be published over a newer one.
 */
export async function lookAtStream(
  options: RelayOptions,
  tenant: TenantReplica,
  { known, wrong }: { readonly known: KnownStream | undefined; readonly wrong: string | undefined },
): Promise<Look> {
  const { leadership, replica, records } = options;
  const head = await headOf(options, tenant.tenant);
  if (!(await leadership.confirm())) throw new NotLeadingError('another replica publishes');
  if (head.meta !== undefined && head.meta.term > (leadership.term ?? 0)) await leadership.outrank(head.meta.term);
  if ((await replica.findStrong(tenant.tenant)) === undefined) throw new Error(`tenant ${tenant.tenant} is gone`);
  const expected = known ?? (await records.read(tenant.tenant));
  const { meta } = head;
  // Is it replaced while it is compared, the next batch finds another one.
  const { window } = tenant;
  const { term } = leadership;
  if (term === undefined) throw new NotLeadingError('the right to publish was lost');
  if (meta === undefined) {
    const isNew = expected === undefined;
    return {
      kind: 'suspicious',
      head,
      isNew,
      reason: isNew ? 'the stream is new' : 'the stream was emptied or removed',
    };
  }
  const reason = wrong ?? suspicionOf(head, meta, expected) ?? (await historySuspicionOf(options, tenant, meta));
  if (reason !== undefined) return { kind: 'suspicious', head, isNew: false, reason };
  return {
    kind: 'sound',
    open: {
      epoch: meta.epoch,
      sequence: head.sequence,
      createTime: head.createTime,
      published: meta.position,
      window,
      subjectCount: head.subjectCount,
      purgedRevision: meta.purgedRevision,
      term,
    },
  };
}

async function headOf({ stream }: RelayOptions, tenant: string): Promise<StreamHead> {
  const head = await stream.head(tenant);
  if (head !== undefined) return head;
  await stream.create(tenant);
  const made = await stream.head(tenant);
  if (made === undefined) throw new Error(`the stream of ${tenant} was removed as soon as it was made`);
  return made;
}

/** What a stream tells against itself. */
function suspicionOf(head: StreamHead, meta: StreamMeta, known: KnownStream | undefined): string | undefined {
  if (known !== undefined) {
    if (meta.epoch !== known.epoch) return 'the stream was replaced by another one';
    if (head.sequence < known.sequence || meta.position.revision < known.revision) return 'the stream was rolled back';
  }
  if (head.subjectCount < Math.max(meta.subjectCount, known?.subjectCount ?? 0)) return 'the stream has lost entries';
  return undefined;
}

/** What the tenant's history tells against a stream. */
async function historySuspicionOf(
  { store }: RelayOptions,
  tenant: TenantReplica,
  { position, digest }: StreamMeta,
): Promise<string | undefined> {
  const { revision, commitId } = position;
  if (revision > tenant.position.revision) return 'the database went back in time';
  const held = tenant.window.positionAt(revision)?.commitId;
  const logged = held ?? (await store.changesAt(tenant.tenant, [revision]))[0]?.commitId;
  if (logged === undefined) return 'the stream is older than the change log';
  if (logged !== commitId) return 'the database has another history';
  if (revision === tenant.position.revision && digest !== tenant.state.digest.toString())
    return 'the stream has another digest';
  return undefined;
}
