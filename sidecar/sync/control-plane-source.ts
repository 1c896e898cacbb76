import type { ServiceClient } from '../../src/client/service-client.ts';
import { TrafficManagerError } from '../../src/client/traffic-manager-error.ts';
import type { Change, Position } from '../../src/domain/change.ts';
import type { WatchServiceService } from '../../src/gen/trafficmanager/v1/watch_service.ts';
import type { Clock } from '../../src/platform/clock.ts';
import type { Random } from '../../src/platform/random.ts';
import type { Schedule } from '../../src/platform/turns.ts';
import { receiveWatch, type ReceivedBatch, type ReceivedWatch } from '../../src/wire/received-watch.ts';
import { routeFromWire } from '../../src/wire/route-wire.ts';
import { policyFromWire } from '../../src/wire/traffic-policy-wire.ts';
import { sidecarLimits } from '../limits.ts';
import { askForPositions } from './ask-for-positions.ts';
import type { ChangeSink, ChangeSource, SourceEnd } from './change-source.ts';
import { FreshnessProofs } from './freshness-proofs.ts';
import { SilenceWatch } from './silence-watch.ts';
import type { LazyWatch } from './watch-lazily.ts';
import { WorkSlices } from './work-slices.ts';

/** What it calls of a WatchService. */
export type WatchedSource = Pick<ServiceClient<WatchServiceService>, 'getPosition'> & { readonly watch: LazyWatch };

export type ControlPlaneSourceOptions = {
  readonly clock: Clock;
  readonly random: Random;
  readonly schedule: Schedule;
  /** Only what concerns these; undefined: everything. */
  readonly services?: ReadonlySet<string> | undefined;
};

/**
 * `grpc://`: follows a control plane's (or another sidecar's) Watch, and asks it meanwhile where it is. Only round trips say how
 * fresh what is held is: the first message, counted from when the watch was asked for, then the answers. All the other messages
 * of the stream prove nothing, because none says how long it was under way.
 */
export class ControlPlaneSource implements ChangeSource {
  readonly #client: WatchedSource;
  readonly #options: ControlPlaneSourceOptions;
  /** Of all tenants together. */
  readonly #slices: WorkSlices;

  constructor(client: WatchedSource, options: ControlPlaneSourceOptions) {
    this.#client = client;
    this.#options = options;
    const { clock, schedule } = options;
    this.#slices = new WorkSlices({ monotonicMs: () => clock.monotonicMs(), schedule, ...sidecarLimits.slices });
  }

  async follow(tenant: string, after: Position | undefined, sink: ChangeSink, signal: AbortSignal): Promise<SourceEnd> {
    const { clock, random, services = [] } = this.#options;
    const { watch, getPosition } = this.#client;
    using silence = new SilenceWatch(clock, sidecarLimits.silenceMsMax);
    const failed = new AbortController();
    const ended = new AbortController();
    const proofs = new FreshnessProofs(sink, clock);
    const asking = { tenant, getPosition, proofs, clock, random };
    const assembly = new Assembly(sink, { clock, isFiltered: this.#options.services !== undefined });
    try {
      const messages = watch(
        {
          tenant,
          services: [...services],
          afterRevision: after && BigInt(after.revision),
          afterCommitId: after?.commitId ?? '',
          progressInterval: { seconds: 0n, nanos: sidecarLimits.progressIntervalMs * 1e6 },
        },
        { signal: AbortSignal.any([signal, silence.tooLong, failed.signal]) },
      );
      let isAsking = false;
      // Read no faster than it is applied: gRPC's flow control holds the sender back.
      for await (const message of messages) {
        // A message that waits for its turn is not the source's silence: with many tenants that may take longer than one.
        silence.pause();
        const told = await this.#slices.runSteps(assembly.take(message));
        silence.broken();
        if (told === 'part') continue;
        proofs.moved();
        // Not before: what is held until then may be of a history that the server has not.
        if (!isAsking)
          void askForPositions(asking, AbortSignal.any([signal, ended.signal])).catch((error: unknown) =>
            failed.abort(error),
          );
        isAsking = true;
      }
      return { kind: 'disconnected', error: new Error('the source ended the stream') };
    } catch (error) {
      if (failed.signal.aborted) return { kind: 'disconnected', error: failed.signal.reason };
      return silence.tooLong.aborted ? { kind: 'disconnected', error: silentFor(error) } : endOf(error);
    } finally {
      ended.abort();
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
  readonly #clock: Clock;
  readonly #askedAtMs: number;
  readonly #isFiltered: boolean;
  #changes: Change[] = [];
  #isFirst = true;

  constructor(sink: ChangeSink, { clock, isFiltered }: { clock: Clock; isFiltered: boolean }) {
    this.#sink = sink;
    this.#clock = clock;
    this.#isFiltered = isFiltered;
    this.#askedAtMs = clock.monotonicMs();
  }

  /** In steps, between which others may have their turn. Whether what was told is whole now, or this was a part of it. */
  *take(bytes: Buffer): Generator<void, 'whole' | 'part', void> {
    const message = receiveWatch(bytes);
    const { event, revision, commitId } = message;
    const position: Position = { revision: Number(revision), commitId };
    switch (event?.$case) {
      case 'snapshotChunk':
        // Told as they come: 100,000 routes kept until the last part are 250 MB of objects, which the heap then keeps as room.
        this.#sink.part({
          routes: event.value.routes.map(routeFromWire),
          policies: event.value.trafficPolicies.map(policyFromWire),
        });
        if (!event.value.last) return 'part';
        this.#sink.snapshot({ position, routes: [], policies: [] }, this.#provenMs(message));
        return 'whole';
      case 'changeBatch':
        return yield* this.#takeBatch(message, event.value, position);
      case 'progress':
        if (this.#isFiltered && position.revision > this.#sink.held.position.revision)
          this.#sink.changes(
            { changes: [], position, coalescedAfter: this.#sink.held.position.revision },
            this.#provenMs(message),
          );
        else this.#sink.confirmed(position, this.#provenMs(message));
        return 'whole';
      case undefined:
        throw new Error('the source sent an event that this program does not know');
    }
  }

  /** A transaction that is whole is told before the next begins, a range and what ends the message with its last change. */
  *#takeBatch(
    message: ReceivedWatch,
    batch: ReceivedBatch,
    position: Position,
  ): Generator<void, 'whole' | 'part', void> {
    const isRange = this.#isFiltered || batch.coalescedAfter !== undefined;
    for (const change of batch.changes) {
      if (!isRange) this.#tellTransaction();
      this.#changes.push(change);
      yield;
    }
    if (batch.continued) return 'part';
    const range = { changes: this.#changes, position, coalescedAfter: this.#rangeStart(batch) };
    this.#changes = [];
    this.#sink.changes(range, this.#provenMs(message));
    return 'whole';
  }

  #tellTransaction(): void {
    const last = this.#changes.at(-1);
    if (last === undefined || last.revision !== last.commitRevision) return;
    const position = { revision: last.revision, commitId: last.commitId };
    this.#sink.changes({ changes: this.#changes, position, coalescedAfter: undefined }, undefined);
    this.#changes = [];
  }

  /** The first message was sent after the watch was asked for, and so was what it tells of certain at that moment less its staleness. */
  #provenMs({ stalenessMs }: ReceivedWatch): number | undefined {
    if (!this.#isFirst || stalenessMs === undefined) return undefined;
    this.#isFirst = false;
    return this.#clock.monotonicMs() - this.#askedAtMs + Number(stalenessMs);
  }

  /**
   * A stream with a filter leaves changes out without a word, so that each message is all that is wanted since the one before:
   * a range. Without a filter a revision that is left out is a fault, which the follower finds.
   */
  #rangeStart({ coalescedAfter }: ReceivedBatch): number | undefined {
    if (this.#isFiltered) return this.#sink.held.position.revision;
    return coalescedAfter === undefined ? undefined : Number(coalescedAfter);
  }
}
