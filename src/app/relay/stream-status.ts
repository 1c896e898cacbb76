import { tenantNotFound } from '../../domain/transaction.ts';
import type { ChangeStream } from '../../ports/change-stream.ts';
import type { LeaseHolder } from '../../ports/relay-lease.ts';
import type { ReconcileReport, StreamRecord, StreamRecords } from '../../ports/stream-records.ts';
import type { Replica } from '../replica.ts';
import type { Leadership } from './leadership.ts';
import type { Relay } from './relay.ts';
import type { RelayCounters } from './tenant-relay.ts';

/** How a tenant's stream stands, as this replica sees it. */
export type StreamStatus = {
  readonly tenant: string;
  readonly connection: 'NOT_CONFIGURED' | 'DISCONNECTED' | 'CONNECTED';
  readonly leader: LeaseHolder | undefined;
  /** Undefined: it was never published, or that is not known. */
  readonly published: Pick<StreamRecord, 'epoch' | 'sequence' | 'revision'> | undefined;
  /** The tenant's revision in memory. */
  readonly revision: number;
  readonly report: ReconcileReport | undefined;
  readonly counters: RelayCounters | undefined;
};

/** What a replica that publishes, or may, knows of the streams. */
export type StreamStatusSource = {
  readonly relay: Relay;
  readonly stream: ChangeStream;
  readonly leadership: Leadership;
  readonly records: StreamRecords;
};

/** Looks where a tenant's stream is: in this replica's memory if it publishes, else in the stream, else in the database. */
export async function streamStatus(
  replica: Replica,
  source: StreamStatusSource | undefined,
  name: string,
): Promise<StreamStatus> {
  const tenant = replica.find(name) ?? (await replica.findStrong(name));
  if (tenant === undefined) throw tenantNotFound(name);
  const common = { tenant: name, revision: tenant.position.revision };
  const unknown = { leader: undefined, published: undefined, report: undefined, counters: undefined };
  if (source === undefined) return { ...common, ...unknown, connection: 'NOT_CONFIGURED' };
  const relay = source.relay.find(name);
  const record = await source.records.read(name);
  return {
    ...common,
    connection: source.stream.isConnected ? 'CONNECTED' : 'DISCONNECTED',
    leader: source.leadership.leader,
    published: published(relay?.open) ?? (await readHead(source.stream, name)) ?? record,
    report: (source.leadership.term === undefined ? undefined : relay?.report) ?? record?.report,
    counters: relay?.counters,
  };
}

function published(open: NonNullable<ReturnType<Relay['find']>>['open']): StreamStatus['published'] {
  return open && { epoch: open.epoch, sequence: open.sequence, revision: open.published.revision };
}

async function readHead(stream: ChangeStream, tenant: string): Promise<StreamStatus['published']> {
  if (!stream.isConnected) return undefined;
  // What cannot be read now is answered as not known, or from the database.
  const head = await stream.head(tenant).catch(() => undefined);
  return head?.meta && { epoch: head.meta.epoch, sequence: head.sequence, revision: head.meta.position.revision };
}
