import type { Change, Position } from '../../src/domain/change.ts';
import type { Clock } from '../../src/platform/clock.ts';
import type { NatsLink } from '../../src/platform/nats/connect-nats.ts';
import { sidecarLimits } from '../limits.ts';
import type { ChangeRange } from '../snapshot/tenant-memory.ts';
import type { ChangeSink } from './change-source.ts';
import type { HeldPlace, StreamPlace } from './nats-catch-up.ts';
import type { Beacon, LiveUpdate, StreamHead } from './nats-stream-messages.ts';
import type { StreamReading } from './nats-stream-reading.ts';

/** What the relay said, and when that was certainly so. */
export type Word = { readonly beacon: Beacon; readonly trueAtMs: number };

export type NatsTellingOptions = {
  readonly tenant: string;
  readonly sink: ChangeSink;
  readonly link: Pick<NatsLink, 'isConnected'>;
  /** Where in its stream each tenant is that something is held of. */
  readonly places: Map<string, StreamPlace>;
  readonly clock: Clock;
  /** Once it fires nothing is told any more. */
  readonly signal: AbortSignal;
};

/**
 * What a follower is told of the stream, and what it must not be told: nothing that is not proven, nothing twice, nothing older
 * than what it holds of the same history, and a staleness only on the relay's word.
 */
export class NatsTelling {
  readonly #options: NatsTellingOptions;
  readonly #sink: ChangeSink;
  #hasFailed = false;
  #isCutOff = false;
  #heardAtMs: number;

  constructor(options: NatsTellingOptions) {
    this.#options = options;
    this.#sink = options.sink;
    this.#heardAtMs = options.clock.monotonicMs();
  }

  /** The follower threw something: it is not to be told anything more. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** The stream that what is held is of; undefined: not known. */
  get epoch(): string | undefined {
    return this.#options.places.get(this.#options.tenant)?.epoch;
  }

  /** Undefined: the follower holds nothing. */
  get held(): HeldPlace | undefined {
    const { tenant: held, position } = this.#sink.held;
    if (held === undefined) return undefined;
    const place = this.#options.places.get(this.#options.tenant);
    return { position, digest: this.#sink.held.digestAfter([]), tenantState: held.state, place };
  }

  /** All that the relay knew when it spoke is held. */
  confirm(word: Word): void {
    const stalenessMs = this.#stalenessMs(word);
    this.#tell((sink) => sink.confirmed(sink.held.position, stalenessMs));
  }

  /** What is held is what the stream has, and no relay says how old that is. */
  confirmUnproven(): void {
    this.#cutOff();
    this.#tell((sink) => sink.confirmed(sink.held.position, undefined));
  }

  /** Tells the follower that it is cut off, once nobody was heard for too long. */
  noticeSilence(): void {
    if (this.#options.clock.monotonicMs() - this.#heardAtMs > sidecarLimits.silenceMsMax) this.#cutOff();
  }

  /** Who proves that the changes that were read are all that the follower lacks. */
  provesChanges(reading: StreamReading): Beacon | undefined {
    const { held } = this.#sink;
    return reading.provenByDigest(held.digestAfter(reading.changesAfter(held.position.revision)));
  }

  tellChanges(reading: StreamReading, provenBy: Beacon | undefined, word: Word | undefined): 'proven' | 'refused' {
    const { position: after, tenant } = this.#sink.held;
    // A range has no place for the tenant itself.
    if (provenBy === undefined || reading.tenant.state !== tenant?.state) return 'refused';
    const { position } = provenBy;
    this.#keepPlace({ epoch: reading.epoch, sequence: reading.sequence });
    if (position.revision > after.revision) {
      const range = { changes: reading.changesAfter(after.revision), position, coalescedAfter: after.revision };
      this.#tellOf(position, word, (sink, stalenessMs) => sink.changes(range, stalenessMs));
    }
    return 'proven';
  }

  /**
   * Tells all that was read. Unproven only to a follower that holds nothing, when nobody could prove more, and only if nothing can
   * be missing but what was being written: then the stream has all the subjects that it says it has.
   */
  tellSnapshot(
    reading: StreamReading,
    provenBy: Beacon | undefined,
    word: Word | undefined,
  ): 'proven' | 'unproven' | 'nothing' {
    const { held } = this;
    if (provenBy !== undefined) {
      const goesBack = held?.place?.epoch === reading.epoch && provenBy.position.revision < held.position.revision;
      if (goesBack) return 'nothing';
      this.#keepPlace({ epoch: reading.epoch, sequence: reading.sequence });
      const snapshot = reading.snapshotAt(provenBy);
      this.#tellOf(provenBy.position, word, (sink, stalenessMs) => sink.snapshot(snapshot, stalenessMs));
      return 'proven';
    }
    const mayBegin = held === undefined && word === undefined && !reading.isOfAnotherEpoch;
    if (!mayBegin || reading.subjectCount < reading.head.subjectCount) return 'nothing';
    this.#cutOff();
    const snapshot = reading.snapshotAt(reading.head);
    this.#tell((sink) => sink.snapshot(snapshot, undefined));
    return 'unproven';
  }

  /** Tells what is new in an update that follows on what is held. */
  takeUpdate(update: LiveUpdate): 'told' | 'repeated' | 'gap' | 'differs' | 'of_another_epoch' {
    const { held } = this.#sink;
    if (held.tenant === undefined || this.epoch !== update.epoch) return 'of_another_epoch';
    this.#heardAtMs = this.#options.clock.monotonicMs();
    const { revision, commitId } = held.position;
    const { position, after } = update;
    if (position.revision < revision) return 'repeated';
    if (position.revision === revision)
      return position.commitId === commitId && this.#agreesAfter([], update) ? 'repeated' : 'differs';
    if (after > revision) return 'gap';
    const changes = update.changes.filter((change) => change.revision > revision);
    if (!this.#agreesAfter(changes, update)) return 'differs';
    const range: ChangeRange = { changes, position, coalescedAfter: undefined };
    this.#tell((sink) => sink.changes(range, undefined));
    return 'told';
  }

  /** What is held is all that the stream has, or more. */
  keepPlaceAt(head: StreamHead): void {
    const { held } = this;
    const isKnown = held?.place?.epoch === head.epoch && head.position.revision > held.position.revision;
    if (!isKnown) this.#keepPlace(head);
  }

  /** The stream's head is somewhere in what is held. */
  movePlaceTo(head: StreamHead): void {
    const { held } = this;
    if (held?.place?.epoch === head.epoch && head.position.revision <= held.position.revision) this.#keepPlace(head);
  }

  /** What does not fit in memory agrees with everything. */
  #agreesAfter(changes: readonly Change[], { digest }: Beacon): boolean {
    return (this.#sink.held.digestAfter(changes) ?? digest) === digest;
  }

  #keepPlace({ epoch, sequence }: StreamPlace): void {
    this.#options.places.set(this.#options.tenant, { epoch, sequence });
  }

  /** The relay's word proves whatever is not older than it. */
  #tellOf(
    position: Position,
    word: Word | undefined,
    telling: (sink: ChangeSink, stalenessMs: number | undefined) => void,
  ): void {
    if (word === undefined) this.#cutOff();
    const proves = word !== undefined && word.beacon.position.revision <= position.revision;
    const stalenessMs = proves ? this.#stalenessMs(word) : undefined;
    this.#tell((sink) => telling(sink, stalenessMs));
  }

  #stalenessMs({ trueAtMs }: Word): number {
    const nowMs = this.#options.clock.monotonicMs();
    this.#heardAtMs = nowMs;
    this.#isCutOff = false;
    return nowMs - trueAtMs;
  }

  #cutOff(): void {
    if (this.#isCutOff) return;
    this.#isCutOff = true;
    this.#tell((sink) => sink.cutOff(this.#options.link.isConnected ? 'no relay answers' : 'NATS is out of reach'));
  }

  #tell(telling: (sink: ChangeSink) => void): void {
    if (this.#options.signal.aborted) return;
    try {
      telling(this.#sink);
    } catch (error) {
      this.#hasFailed = true;
      throw error;
    }
  }
}
