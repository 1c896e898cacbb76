import type { Msg, NatsConnection } from 'nats';
import type { Position } from '../../src/domain/change.ts';
import { backoffMs } from '../../src/platform/backoff.ts';
import type { Clock } from '../../src/platform/clock.ts';
import type { Logger } from '../../src/platform/logger.ts';
import type { NatsLink } from '../../src/platform/nats/connect-nats.ts';
import type { Random } from '../../src/platform/random.ts';
import { liveSubject } from '../../src/wire/stream-subjects.ts';
import { natsSourceLimits } from '../limits.ts';
import type { SourceEnd } from './change-source.ts';
import { agrees, planCatchUp, type CatchUp } from './nats-catch-up.ts';
import { LiveAssembly } from './nats-live-assembly.ts';
import { readConfiguration } from './nats-read-configuration.ts';
import { askRelay, readStreamHead } from './nats-requests.ts';
import { liveUpdateFrom, type Beacon, type LiveUpdate, type StreamHead } from './nats-stream-messages.ts';
import type { NatsTelling, Word } from './nats-telling.ts';
import { WaitingUpdates } from './nats-waiting-updates.ts';
import { unlessAborted } from './unless-aborted.ts';
import type { WorkSlices } from './work-slices.ts';

export type NatsFollowingOptions = {
  readonly link: NatsLink;
  readonly connection: NatsConnection;
  readonly tenant: string;
  readonly consumerName: string;
  readonly telling: NatsTelling;
  readonly slices: WorkSlices;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** As in NatsSourceOptions. */
  readonly joiningAskMsMax?: number;
};

type State =
  /** Finding out what is missing; what is told meanwhile waits. */
  | { readonly kind: 'joining' }
  /** Everything up to what is held was told; changes are passed on as they come. */
  | { readonly kind: 'following' };

/** One call of `follow`: one tenant, from its start to its end. */
export class NatsFollowing implements Disposable {
  readonly #options: NatsFollowingOptions;
  readonly #telling: NatsTelling;
  readonly #assembly = new LiveAssembly();
  readonly #waiting = new WaitingUpdates();
  /** Of messages whose turn has not come. */
  #unheardBytes = 0;
  readonly #owned = new DisposableStack();
  readonly #failed = Promise.withResolvers<never>();
  #state: State = { kind: 'joining' };
  #mustReadAll = false;
  #lookedForDeletion = false;
  /** The relay knows of changes that were not told yet. */
  #awaited: Word | undefined;
  /** An epoch that the stream was found not to have. */
  #disbelieved: { readonly epoch: string; readonly untilMs: number } | undefined;
  #latestTerm: Pick<Beacon, 'epoch' | 'term'> | undefined;
  /** Reading the stream proved nothing: not worth doing again before this, unless somebody says something new. */
  #fruitless: { readonly sequence: number; readonly untilMs: number } | undefined;
  #woken = new AbortController();
  #joinFailures = 0;
  #placeKnownAtMs = 0;
  #obstacle = '';

  constructor(options: NatsFollowingOptions) {
    this.#options = options;
    this.#telling = options.telling;
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }

  /** Until the signal fires. Rejects with what the sink throws, or when the connection is closed for good. */
  async run(after: Position | undefined): Promise<SourceEnd> {
    const { connection, link, tenant, signal } = this.#options;
    this.#mustReadAll = after === undefined;
    // Before anything is asked: what commits after the answer is then told, or noticed as a gap.
    const subscription = connection.subscribe(liveSubject(tenant), {
      callback: (error, message) => this.#queue(error, message),
    });
    this.#owned.defer(() => subscription.unsubscribe());
    this.#owned.use(link.onChange(() => this.#woken.abort()));
    while (!signal.aborted) {
      if (connection.isClosed()) throw new Error('the connection to NATS is closed');
      const end = await Promise.race([this.#turn(), this.#failed.promise]);
      if (end !== undefined) return end;
    }
    return { kind: 'disconnected', error: new Error('it was stopped') };
  }

  /** Asks the relay once, and does what follows from its answer or its silence. */
  async #turn(): Promise<SourceEnd | undefined> {
    const { connection, link, tenant, clock, signal, random, slices } = this.#options;
    this.#woken = new AbortController();
    const sentAtMs = clock.monotonicMs();
    const { askMsMax, askIntervalMs, unansweredAskIntervalMs, graceMs } = natsSourceLimits;
    const { joiningAskMsMax = natsSourceLimits.joiningAskMsMax } = this.#options;
    const timeoutMs = this.#state.kind === 'joining' ? joiningAskMsMax : askMsMax;
    const said = link.isConnected ? await unlessAborted(askRelay(connection, tenant, timeoutMs), signal) : undefined;
    // In its turn: what was told before it may wait for its own, and must not be taken for lost, nor for that of an earlier term.
    const answer = await slices.run(() => said);
    if (signal.aborted) return undefined;
    if (answer?.kind === 'tenant_not_found') return await this.#lose();
    const isCurrent = answer !== undefined && this.#isOfLatestTerm(answer.beacon);
    const word = isCurrent ? { beacon: answer.beacon, trueAtMs: sentAtMs - answer.stalenessMs } : undefined;
    this.#telling.noticeSilence();
    if (this.#state.kind === 'joining') return await this.#join(word);
    const intervalMs = word === undefined ? unansweredAskIntervalMs : askIntervalMs;
    const isAhead = word !== undefined && this.#compare(word) === 'ahead';
    const pauseMs = isAhead ? graceMs : intervalMs * (0.5 + random());
    await this.#refreshPlace();
    await this.#pause(pauseMs);
    return undefined;
  }

  /** The relay says that there is no such tenant, or that it is deleted: which of the two, and since when, the stream may know. */
  async #lose(): Promise<SourceEnd | undefined> {
    const { held } = this.#telling;
    const mayBeDeleted = held !== undefined && held.tenantState !== 'DELETED' && !this.#lookedForDeletion;
    if (!mayBeDeleted)
      return { kind: 'tenant_not_found', error: new Error(`the relay knows no tenant ${this.#options.tenant}`) };
    this.#lookedForDeletion = true;
    return await this.#join(undefined);
  }

  /** Holds what the relay says against what is held. */
  #compare(word: Word): 'ahead' | 'done' {
    const { held } = this.#telling;
    if (held === undefined) throw new Error('whoever follows holds something');
    const { beacon } = word;
    const ahead = beacon.position.revision - held.position.revision;
    if (beacon.epoch === held.place?.epoch && ahead > 0) {
      const wasAwaited = this.#awaited !== undefined && this.#awaited.beacon.position.revision > held.position.revision;
      if (wasAwaited) this.#rejoin('changes were lost on their way');
      else this.#awaited = word;
      return wasAwaited ? 'done' : 'ahead';
    }
    if (agrees(held, beacon) || (beacon.epoch === held.place?.epoch && ahead < 0)) this.#confirm(word);
    if (beacon.epoch !== held.place?.epoch) this.#rejoin('the relay speaks of another stream');
    else if (ahead === 0 && !agrees(held, beacon)) this.#rejoin('what is held is not what the relay says');
    return 'done';
  }

  /** Everything that the relay knew when it spoke is held. */
  #confirm(word: Word): void {
    this.#awaited = undefined;
    this.#telling.confirm(word);
  }

  async #join(word: Word | undefined): Promise<SourceEnd | undefined> {
    const { connection, link, tenant, signal, logger } = this.#options;
    const { held } = this.#telling;
    if (!link.isConnected) return await this.#waitToJoin('NATS is out of reach');
    // Whatever the stream is like: what is held is what the relay says.
    if (held !== undefined && word !== undefined && agrees(held, word.beacon)) this.#confirm(word);
    try {
      const head = await unlessAborted(readStreamHead(connection, tenant), signal);
      if (signal.aborted) return undefined;
      const plan = this.#demanding(planCatchUp(held, head, word?.beacon));
      if (plan.kind === 'wait' || head === undefined)
        return await this.#waitToJoin(plan.kind === 'wait' ? plan.why : '');
      if (plan.kind === 'read_all' && !this.#mustReadAll) return { kind: 'resume_refused', error: new Error(plan.why) };
      if (plan.kind !== 'nothing_missing') return await this.#catchUp(plan, head, word);
      this.#telling.keepPlaceAt(head);
      if (word === undefined) this.#telling.confirmUnproven();
      this.#follow();
      return undefined;
    } catch (error) {
      if (this.#telling.hasFailed) throw error;
      const obstacle = error instanceof Error ? error.message : 'unknown';
      if (obstacle !== this.#obstacle) logger.warn({ tenant, error }, 'cannot read the change stream; trying again');
      this.#obstacle = obstacle;
      return await this.#waitToJoin(obstacle);
    }
  }

  /** A follower that does not resume wants everything, whatever it still holds. */
  #demanding(plan: CatchUp): CatchUp {
    return this.#mustReadAll && plan.kind !== 'wait' ? { kind: 'read_all', why: 'a snapshot is asked for' } : plan;
  }

  async #catchUp(
    plan: Extract<CatchUp, { kind: 'read_after' | 'read_all' }>,
    head: StreamHead,
    word: Word | undefined,
  ): Promise<SourceEnd | undefined> {
    const { clock, signal } = this.#options;
    const isNews = word !== undefined || this.#waiting.all.length > 0 || this.#fruitless?.sequence !== head.sequence;
    if (!isNews && clock.monotonicMs() < (this.#fruitless?.untilMs ?? 0)) return await this.#waitToJoin('nothing new');
    const telling = this.#telling;
    const { reading, provenBy } = await readConfiguration({
      ...this.#options,
      head,
      relay: word?.beacon,
      after: plan.kind === 'read_after' ? plan.sequence : 0,
      waiting: this.#waiting,
      prove: (read) => (plan.kind === 'read_after' ? telling.provesChanges(read) : read.provenBy()),
    });
    if (signal.aborted) return undefined;
    const told =
      plan.kind === 'read_after'
        ? telling.tellChanges(reading, provenBy, word)
        : telling.tellSnapshot(reading, provenBy, word);
    if (told === 'refused') return { kind: 'resume_refused', error: new Error('what the stream has cannot be proven') };
    if (told === 'proven') {
      this.#follow();
      return undefined;
    }
    this.#fruitless = { sequence: head.sequence, untilMs: clock.monotonicMs() + natsSourceLimits.rereadMs };
    return await this.#waitToJoin('what the stream has cannot be proven');
  }

  #follow(): void {
    const { clock } = this.#options;
    this.#state = { kind: 'following' };
    this.#mustReadAll = false;
    this.#joinFailures = 0;
    this.#awaited = undefined;
    this.#fruitless = undefined;
    this.#obstacle = '';
    this.#placeKnownAtMs = clock.monotonicMs();
    for (const update of this.#waiting.takeAll()) this.#take(update, 0);
  }

  async #waitToJoin(why: string): Promise<undefined> {
    const { clock, random, signal, tenant, logger } = this.#options;
    logger.debug({ tenant, why }, 'waiting for the change stream');
    await clock.sleep(natsSourceLimits.catchUpPauseMsMin, signal);
    await this.#pause(backoffMs(this.#joinFailures++, natsSourceLimits.catchUpBackoff, random));
    return undefined;
  }

  #rejoin(why: string): void {
    const { logger, tenant } = this.#options;
    if (this.#state.kind === 'joining') return;
    logger.info({ tenant, why }, 'catching up with the change stream');
    this.#state = { kind: 'joining' };
    this.#woken.abort();
  }

  /** NATS gives what it has read all at once, and cannot be told to wait: what is too much is lost, and is noticed as a gap. */
  #queue(error: Error | null, message: Msg): void {
    if (this.#options.signal.aborted) return;
    if (error !== null) return this.#failed.reject(error);
    const { data } = message;
    if (this.#unheardBytes + data.length > natsSourceLimits.unheardBytesMax) return;
    this.#unheardBytes += data.length;
    this.#options.slices
      .run(() => {
        this.#unheardBytes -= data.length;
        this.#hear(data);
      })
      .catch((failure: unknown) => this.#failed.reject(failure));
  }

  #hear(bytes: Uint8Array): void {
    if (this.#options.signal.aborted) return;
    const update = liveUpdateFrom(bytes);
    if (!this.#isOfLatestTerm(update)) return;
    const assembled = this.#assembly.take(update, bytes.length);
    if (assembled.kind === 'broken') this.#rejoin('a part of an update was lost');
    if (assembled.kind === 'whole') this.#take(assembled.update, bytes.length);
  }

  /** A leader that was paused and goes on speaks with an older term. Terms of different epochs may be of different databases. */
  #isOfLatestTerm({ epoch, term }: Beacon): boolean {
    const latest = this.#latestTerm;
    const isLate = latest?.epoch === epoch && term < latest.term;
    if (!isLate && epoch === (this.#telling.epoch ?? epoch)) this.#latestTerm = { epoch, term };
    return !isLate;
  }

  #take(update: LiveUpdate, bytes: number): void {
    if (this.#state.kind === 'joining') {
      this.#waiting.add(update, bytes);
      this.#woken.abort();
      return;
    }
    const taken = this.#telling.takeUpdate(update);
    switch (taken) {
      case 'told':
        if (this.#awaited !== undefined && this.#awaited.beacon.position.revision <= update.position.revision)
          this.#confirm(this.#awaited);
        break;
      case 'repeated':
        break;
      case 'gap':
        this.#rejoin('changes were lost on their way');
        break;
      case 'differs':
        this.#rejoin('what is held is not what the relay says');
        break;
      case 'of_another_epoch':
        this.#suspect(update.epoch);
        break;
    }
  }

  /** Somebody speaks of another stream: worth a look at the stream, but one that speaks on and on is worth one look a second. */
  #suspect(epoch: string): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#disbelieved?.epoch === epoch && nowMs < this.#disbelieved.untilMs) return;
    this.#disbelieved = { epoch, untilMs: nowMs + natsSourceLimits.askIntervalMs };
    this.#rejoin('somebody speaks of another stream');
  }

  /** So that a gap costs no more to read than what came in the last half minute. */
  async #refreshPlace(): Promise<void> {
    const { connection, clock, signal, tenant } = this.#options;
    if (clock.monotonicMs() < this.#placeKnownAtMs + natsSourceLimits.headIntervalMs) return;
    this.#placeKnownAtMs = clock.monotonicMs();
    const head = await unlessAborted(readStreamHead(connection, tenant), signal).catch(() => undefined);
    if (head !== undefined && !signal.aborted) this.#telling.movePlaceTo(head);
  }

  async #pause(durationMs: number): Promise<void> {
    const { clock, signal } = this.#options;
    await clock.sleep(durationMs, AbortSignal.any([signal, this.#woken.signal]));
  }
}
