import type { TrafficManagerClient } from '../../src/client/create-client.ts';
import { TrafficManagerError } from '../../src/client/traffic-manager-error.ts';
import type { Change, Position } from '../../src/domain/change.ts';
import type { ChangeBatch, WatchResponse } from '../../src/gen/trafficmanager/v1/watch_service.ts';
import type { Clock } from '../../src/platform/clock.ts';
import { changeFromWire } from '../../src/wire/change-wire.ts';
import { routeFromWire } from '../../src/wire/route-wire.ts';
import { policyFromWire } from '../../src/wire/traffic-policy-wire.ts';
import { sidecarLimits } from '../limits.ts';
import type { ChangeSink, ChangeSource, SourceEnd } from './change-source.ts';
import { SilenceWatch } from './silence-watch.ts';

/** `grpc://`: follows a control plane's (or another sidecar's) Watch. */
export class ControlPlaneSource implements ChangeSource {
  readonly #watch: TrafficManagerClient['watch'];
  readonly #clock: Clock;
  readonly #services: readonly string[];

  /** `services`: only what concerns these; undefined: everything. */
  constructor(
    client: Pick<TrafficManagerClient, 'watch'>,
    { clock, services }: { clock: Clock; services?: ReadonlySet<string> | undefined },
  ) {
    this.#watch = client.watch;
    this.#clock = clock;
    this.#services = [...(services ?? [])];
  }

  async follow(tenant: string, after: Position | undefined, sink: ChangeSink, signal: AbortSignal): Promise<SourceEnd> {
    using silence = new SilenceWatch(this.#clock, sidecarLimits.silenceMsMax);
    const assembly = new Assembly(sink);
    try {
      const messages = this.#watch(
        {
          tenant,
          services: [...this.#services],
          afterRevision: after && BigInt(after.revision),
          afterCommitId: after?.commitId ?? '',
          progressInterval: { seconds: 0n, nanos: sidecarLimits.progressIntervalMs * 1e6 },
        },
        { signal: AbortSignal.any([signal, silence.tooLong]) },
      );
      // Read no faster than it is applied: gRPC's flow control holds the sender back.
      for await (const message of messages) {
        silence.broken();
        assembly.take(message);
      }
      return { kind: 'disconnected', error: new Error('the source ended the stream') };
    } catch (error) {
      return silence.tooLong.aborted ? { kind: 'disconnected', error: silentFor(error) } : endOf(error);
    }
  }
}

function endOf(error: unknown): SourceEnd {
  if (error instanceof TrafficManagerError && error.code === 'OUT_OF_RANGE') return { kind: 'resume_refused', error };
  if (error instanceof TrafficManagerError && error.reason === 'TENANT_NOT_FOUND')
    return { kind: 'tenant_not_found', error };
  return { kind: 'disconnected', error };
}

function silentFor(cause: unknown): Error {
  return new Error(`the source was silent for more than ${sidecarLimits.silenceMsMax} ms`, { cause });
}

/**
 * Puts transactions and coalesced ranges together that came in several messages. A stream that ends before the last part leaves
 * nothing behind: the sink hears of the whole, or not at all. What may come is bounded by what the sender keeps.
 */
class Assembly {
  readonly #sink: ChangeSink;
  #changes: Change[] = [];

  constructor(sink: ChangeSink) {
    this.#sink = sink;
  }

  take({ event, revision, commitId, stalenessMs: wireStalenessMs }: WatchResponse): void {
    const position: Position = { revision: Number(revision), commitId };
    const stalenessMs = wireStalenessMs === undefined ? undefined : Number(wireStalenessMs);
    switch (event?.$case) {
      case 'snapshotChunk':
        // Told as they come: 100,000 routes kept until the last part are 250 MB of objects, which the heap then keeps as room.
        this.#sink.part({
          routes: event.value.routes.map(routeFromWire),
          policies: event.value.trafficPolicies.map(policyFromWire),
        });
        if (event.value.last) this.#sink.snapshot({ position, routes: [], policies: [] }, stalenessMs);
        return;
      case 'changeBatch':
        for (const change of event.value.changes) this.#changes.push(changeFromWire(change));
        if (event.value.continued) return;
        this.#sink.changes({ changes: this.#changes, position, coalescedAfter: rangeStart(event.value) }, stalenessMs);
        this.#changes = [];
        return;
      case 'progress':
        return this.#sink.confirmed(position, stalenessMs);
      case undefined:
        throw new Error('the source sent an event that this program does not know');
    }
  }
}

function rangeStart({ coalescedAfter }: ChangeBatch): number | undefined {
  return coalescedAfter === undefined ? undefined : Number(coalescedAfter);
}
