import type { Metric } from '../../platform/metrics-server.ts';
import type { Relay } from './relay.ts';
import type { RelayCounters } from './tenant-relay.ts';

const helps: Readonly<Record<keyof RelayCounters, string>> = {
  batches: 'Batches of changes that JetStream acknowledged.',
  changes: 'Changes in those batches.',
  failures: 'Publications that failed and were begun anew from what the stream has.',
  comparisons: 'Streams compared with Postgres, entry by entry.',
  repairs: 'Streams that were not what Postgres has, and were made so. Filling a new one is none.',
};

/** What a replica did with the streams, of all tenants together, since it started. */
export function relayMetrics(relay: Relay): Metric[] {
  return [
    ...Object.entries(helps).map(([counter, help]): Metric => ({
      kind: 'counter',
      name: `traffic_manager_stream_${counter}_total`,
      help,
      read: () => relay.totals()[counter as keyof RelayCounters],
    })),
    {
      kind: 'gauge',
      name: 'traffic_manager_stream_leader',
      help: 'Whether this replica is the one that publishes: 1 or 0.',
      read: () => (relay.leads ? 1 : 0),
    },
  ];
}
