import type { StreamStatus } from '../../app/relay/stream-status.ts';
import { Violations } from '../../domain/validation.ts';
import {
  ChangeStreamConnection,
  type ChangeStream,
  type ChangeStreamServiceService,
} from '../../gen/trafficmanager/v1/change_stream_service.ts';
import type { Handlers } from '../../platform/grpc/handlers.ts';
import { durationToWire } from '../../wire/duration-wire.ts';

const connectionToWire = {
  NOT_CONFIGURED: ChangeStreamConnection.CHANGE_STREAM_CONNECTION_NOT_CONFIGURED,
  DISCONNECTED: ChangeStreamConnection.CHANGE_STREAM_CONNECTION_DISCONNECTED,
  CONNECTED: ChangeStreamConnection.CHANGE_STREAM_CONNECTION_CONNECTED,
} as const satisfies Record<StreamStatus['connection'], ChangeStreamConnection>;

export type ChangeStreamHandlersOptions = {
  /** The replica that answers. */
  readonly replicaId: string;
  /** Rejects with TENANT_NOT_FOUND when there is no such tenant. */
  readonly statusOf: (tenant: string) => Promise<StreamStatus>;
};

/** ChangeStreamService over what this replica knows of the streams. */
export function changeStreamHandlers({
  replicaId,
  statusOf,
}: ChangeStreamHandlersOptions): Handlers<typeof ChangeStreamServiceService> {
  return {
    getChangeStream: async ({ tenant }) => {
      const violations = new Violations();
      violations.name('tenant', tenant);
      violations.assertNone();
      return { changeStream: changeStreamToWire(await statusOf(tenant), replicaId) };
    },
  };
}

function changeStreamToWire(status: StreamStatus, replica: string): ChangeStream {
  const { published, revision, report, counters, leader } = status;
  return {
    tenant: status.tenant,
    connection: connectionToWire[status.connection],
    replica,
    leader: leader?.holder ?? '',
    term: BigInt(leader?.term ?? 0),
    epoch: published?.epoch ?? '',
    sequence: BigInt(published?.sequence ?? 0),
    publishedRevision: BigInt(published?.revision ?? 0),
    revision: BigInt(revision),
    lag: BigInt(Math.max(0, revision - (published?.revision ?? 0))),
    lastReconciliation: report && {
      endTime: new Date(report.timeMs),
      duration: durationToWire(report.durationMs),
      reason: report.reason,
      revision: BigInt(report.revision),
      entries: BigInt(report.entries),
      republished: BigInt(report.republished),
      removed: BigInt(report.removed),
      purged: BigInt(report.purged),
      newEpoch: report.newEpoch,
    },
    counters: counters && {
      batches: BigInt(counters.batches),
      changes: BigInt(counters.changes),
      failures: BigInt(counters.failures),
      comparisons: BigInt(counters.comparisons),
      repairs: BigInt(counters.repairs),
    },
  };
}
