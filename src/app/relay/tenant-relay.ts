import { backoffMs } from '../../platform/backoff.ts';
import { Doorbell } from '../../platform/doorbell.ts';
import type { Places } from '../../platform/places.ts';
import { ChangeStreamError } from '../../ports/change-stream.ts';
import type { ReconcileReport, StreamRecord } from '../../ports/stream-records.ts';
import type { TenantReplica } from '../tenant-replica.ts';
import { relayLimits } from './limits.ts';
import { LiveTeller, type Voice } from './live-teller.ts';
import { emptyRange, extendedRange, loggedRange, streamedChanges } from './change-range.ts';
import { lookAtStream, NotLeadingError, type KnownStream, type OpenStream } from './open-stream.ts';
import type { RelayOptions } from './relay-options.ts';
import { repairStream } from './repair-stream.ts';
import { metaOf } from './stream-meta.ts';
import { verifyStream } from './verify-stream.ts';

type State =
  /** The stream must be looked at before anything is published. */
  | {
      readonly kind: 'unknown';
      readonly known: KnownStream | undefined;
      /** What a comparison has found; undefined: nothing. */
      readonly wrong: string | undefined;
    }
  | { readonly kind: 'open'; readonly open: OpenStream };

/** What a relay has done for one tenant, since it was made. */
export type RelayCounters = {
  batches: number;
  changes: number;
  failures: number;
  comparisons: number;
  repairs: number;
};

/** Publishes one tenant's changes while this replica leads, one batch at a time; what commits meanwhile is in the next one. */
export class TenantRelay {
  readonly #options: RelayOptions;
  readonly #tenant: TenantReplica;
  readonly #opening: Places;
  readonly #teller: LiveTeller;
  readonly #doorbell = new Doorbell();
  #state: State = { kind: 'unknown', known: undefined, wrong: undefined };
  #report: ReconcileReport | undefined;
  #suspected = false;
  /** Settled when a comparison that was asked for is over, however it ended. */
  #verification: PromiseWithResolvers<void> | undefined;
  #appended = false;
  readonly #counters: RelayCounters = { batches: 0, changes: 0, failures: 0, comparisons: 0, repairs: 0 };
  /** The state and the report that were last written down. */
  #recorded: { readonly open: OpenStream | undefined; readonly report: ReconcileReport | undefined } | undefined;

  constructor(options: RelayOptions, tenant: TenantReplica, opening: Places) {
    this.#options = options;
    this.#tenant = tenant;
    this.#opening = opening;
    this.#teller = new LiveTeller(tenant, options);
  }

  get tenant(): TenantReplica {
    return this.#tenant;
  }

  /** The stream as it was left by this replica; undefined while that is not known. */
  get open(): OpenStream | undefined {
    return this.#state.kind === 'open' ? this.#state.open : undefined;
  }

  /** The last comparison of the stream with memory that this replica made. */
  get report(): ReconcileReport | undefined {
    return this.#report;
  }

  get counters(): Readonly<RelayCounters> {
    return this.#counters;
  }

  /** As whom it speaks to those who listen; undefined: it must not. */
  get voice(): Voice | undefined {
    return this.#teller.voice;
  }

  /** What should be remembered, if that has changed since this was last asked. */
  takeRecord(): StreamRecord | undefined {
    if (this.#state.kind !== 'open') return undefined;
    const { open } = this.#state;
    if (open === this.#recorded?.open && this.#report === this.#recorded.report) return undefined;
    this.#recorded = { open, report: this.#report };
    const { epoch, sequence, published } = open;
    return { tenant: this.#tenant.tenant, epoch, sequence, revision: published.revision, report: this.#report };
  }

  /** Looks at the stream before the next batch, and soon: the connection was lost, or the stream may have been touched. */
  suspect(): void {
    this.#suspected = true;
    this.#doorbell.ring();
  }

  /** Says where the tenant is, and looks whether the stream still is where it was left. */
  pulse(): void {
    this.#teller.beacon();
    // A batch that was taken proves as much as a look.
    if (this.#appended) this.#appended = false;
    else this.suspect();
  }

  /** Compares the stream with memory, entry by entry, soon; fulfilled when that is over, or cannot be done now. */
  async verify(): Promise<void> {
    this.#verification ??= Promise.withResolvers();
    this.#doorbell.ring();
    await this.#verification.promise;
  }

  async run(signal: AbortSignal): Promise<void> {
    using _subscription = this.#tenant.subscribe(() => {
      this.#doorbell.ring();
      this.#teller.wake();
    });
    const telling = this.#teller.run(signal);
    this.#doorbell.ring();
    for (let failures = 0; !signal.aborted;) {
      await this.#doorbell.heard(signal);
      if (signal.aborted) break;
      try {
        await this.#publish();
        failures = 0;
      } catch (error) {
        this.#lose();
        await this.#recover(error, failures++, signal);
      }
    }
    this.#lose();
    await telling;
  }

  /** Brings the stream to where memory is. */
  async #publish(): Promise<void> {
    const { leadership, stream } = this.#options;
    // Before its first change there is nothing to publish, and nobody to whom.
    if (this.#tenant.position.revision === 0) return;
    while (leadership.term !== undefined && stream.isConnected) {
      if (this.#state.kind === 'open' && this.#state.open.term !== leadership.term) this.#lose();
      if (this.#state.kind === 'open' && this.#suspected) await this.#lookAgain(this.#state.open);
      if (this.#state.kind === 'unknown') await this.#open(this.#state);
      if (this.#state.kind === 'open' && !(await this.#publishNext(this.#state.open)) && !(await this.#verify()))
        return;
    }
    this.#lose();
  }

  async #open(before: Extract<State, { kind: 'unknown' }>): Promise<void> {
    await this.#opening.within(async () => {
      this.#suspected = false;
      const look = await lookAtStream(this.#options, this.#tenant, before);
      if (look.kind === 'sound') return this.#opened(look.open);
      // A repair that is broken off may leave nothing that looks suspicious.
      this.#state = { ...before, wrong: look.reason };
      const { open, report } = await repairStream(this.#options, this.#tenant, look);
      this.#report = report;
      this.#recorded = { open, report };
      const { logger } = this.#options;
      // A tenant's first stream is no repair.
      if (look.isNew) {
        logger.info({ tenant: this.#tenant.tenant, ...report }, 'filled a stream');
      } else {
        this.#counters.repairs++;
        logger.warn({ tenant: this.#tenant.tenant, ...report }, 'repaired a stream');
      }
      this.#opened(open);
    });
  }

  #opened(open: OpenStream): void {
    this.#state = { kind: 'open', open };
    this.#teller.speak(open, open.published.revision);
  }

  /** A quick look whether the stream is what it was when this replica last wrote to it. */
  async #lookAgain(open: OpenStream): Promise<void> {
    this.#suspected = false;
    const head = await this.#options.stream.head(this.#tenant.tenant);
    const { sequence, createTime, epoch, published, subjectCount, term } = open;
    const same =
      head?.sequence === sequence &&
      head.createTime === createTime &&
      head.meta?.epoch === epoch &&
      head.meta.position.revision === published.revision &&
      head.meta.term <= term &&
      head.subjectCount >= subjectCount;
    if (!same) this.#lose();
    else if (head.subjectCount > subjectCount)
      this.#state = { kind: 'open', open: { ...open, subjectCount: head.subjectCount } };
  }

  /** One batch; false: there is nothing to publish. */
  async #publishNext(open: OpenStream): Promise<boolean> {
    const { store, stream, clock } = this.#options;
    const { published, window } = open;
    const tenant = this.#tenant;
    if (tenant.window === window && tenant.position.revision === published.revision) return false;
    const older = window.reaches(published.revision)
      ? emptyRange(published.revision)
      : await loggedRange(store, tenant, published.revision);
    // Memory was replaced by another history, or the log does not reach back so far: either is found out by looking at the stream.
    if (tenant.window !== window || older === undefined) {
      this.#lose();
      return true;
    }
    // Changes and meta are of one moment: nothing is waited for between them.
    const range = extendedRange(tenant, older);
    const subjectCount = open.subjectCount + range.created;
    const meta = metaOf(tenant, { ...open, subjectCount }, clock.wallMs());
    const changes = streamedChanges(range);
    const sequence = await stream.append(tenant.tenant, { after: open.sequence, changes, meta });
    this.#state = { kind: 'open', open: { ...open, sequence, published: meta.position, subjectCount } };
    this.#appended = true;
    this.#counters.batches++;
    this.#counters.changes += changes.length;
    return true;
  }

  /** Compares the stream with memory when that is due; false: it was not, or what it found is no reason to go on at once. */
  async #verify(): Promise<boolean> {
    if (this.#verification === undefined || this.#state.kind !== 'open') return false;
    const { open } = this.#state;
    const { tenant } = this.#tenant;
    const verification = await verifyStream(this.#options, this.#tenant, open);
    this.#counters.comparisons++;
    switch (verification.kind) {
      case 'overtaken':
        return true;
      case 'different':
        this.#lose(verification.reason);
        return true;
      case 'equal':
        this.#verified();
        this.#report = verification.report;
        this.#state = { kind: 'open', open: verification.open };
        this.#options.logger.debug({ tenant, ...verification.report }, 'a stream is what its tenant is');
        return true;
    }
  }

  #verified(): void {
    this.#verification?.resolve();
    this.#verification = undefined;
  }

  /** Forgets where the stream is, but not where it has been. */
  #lose(wrong?: string): void {
    this.#verified();
    if (this.#state.kind === 'unknown') return;
    const { epoch, sequence, published, window, subjectCount } = this.#state.open;
    // Of another history, revisions tell nothing about the stream.
    const sameHistory = window === this.#tenant.window;
    const known = sameHistory ? { epoch, sequence, revision: published.revision, subjectCount } : undefined;
    this.#state = { kind: 'unknown', known, wrong };
  }

  async #recover(error: unknown, failures: number, signal: AbortSignal): Promise<void> {
    const { logger, clock, random } = this.#options;
    this.#doorbell.ring();
    if (error instanceof NotLeadingError) return;
    this.#counters.failures++;
    const moved = error instanceof ChangeStreamError && error.failure === 'moved';
    if (failures > 0 || !moved)
      logger.warn({ error, tenant: this.#tenant.tenant }, 'cannot publish to a stream now; looking at it again');
    if (failures > 0 || !moved) await clock.sleep(backoffMs(failures, relayLimits.failureBackoff, random), signal);
  }
}
