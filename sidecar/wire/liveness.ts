import type { Alarm, AlarmClock } from './alarm.ts';
import type { WireLimits } from './limits.ts';

/** What a connection can say of itself, and what is to be done about it. */
export interface Watched {
  readonly hasStreams: boolean;
  /** The newest of them, there or not: calls that are answered at once are never there when anybody looks. */
  readonly newestStreamId: number;
  /** Whether it is a client's: servers of gRPC end connections whose clients ask without a call (proposal A8). */
  readonly isClient: boolean;
  /** Whether the beginning of something waits for its rest: the preface, a frame, a header block. */
  readonly isUnfinished: boolean;
  /** Whole frames so far. */
  readonly framesReceived: number;
  /** Bytes that wait for the peer to read, and how many did not have to any more. */
  readonly backlogBytes: number;
  readonly passedOnBytes: number;
  /** Bytes that wait for the peer to open a window. */
  readonly queuedBytes: number;
  askForLife(): void;
  /** It has lived for as long as it may, or been without streams for too long. */
  drain(): void;
  /** The peer has not done what it had to. */
  late(what: LateKind): void;
}

/** `unread`: nothing of what was written has been taken. `no_window`: nothing of what waits may be sent. */
export type LateKind = 'unfinished' | 'silent' | 'unread' | 'no_window';

/** What is asked with. */
export const livenessPing = Buffer.from('liveness');

/** Looks so many times in the shortest of the limits: each is kept within half of it. */
const looksPerLimit = 2;

/**
 * Watches over one connection: one alarm, which looks a few times in the shortest limit at what has happened since. Nothing is
 * counted or timed when bytes come and go, but for two marks.
 */
export class Liveness implements Alarm {
  dueMs = 0;
  readonly #watched: Watched;
  readonly #clock: AlarmClock;
  readonly #limits: WireLimits;
  readonly #periodMs: number;
  readonly #startMs: number;
  #hasHeard = true;
  #hasMoved = true;
  #heardAtMs: number;
  #askedAtMs: number | undefined;
  #unfinishedSinceMs: number | undefined;
  #framesReceived = 0;
  #busyAtMs: number;
  #newestStreamId = 0;
  #movedAtMs: number;
  #passedOnBytes = 0;
  #passedOnAtMs: number;

  constructor(watched: Watched, clock: AlarmClock, limits: WireLimits) {
    this.#watched = watched;
    this.#clock = clock;
    this.#limits = limits;
    const { unfinishedMsMax, keepaliveMs, idleMsMax, stallMsMax } = limits;
    this.#periodMs =
      Math.min(unfinishedMsMax, keepaliveMs, idleMsMax, stallMsMax, limits.ageMsMax ?? Number.POSITIVE_INFINITY) /
      looksPerLimit;
    this.#startMs = clock.monotonicMs();
    this.#heardAtMs = this.#busyAtMs = this.#movedAtMs = this.#passedOnAtMs = this.#startMs;
    this.#unfinishedSinceMs = this.#startMs;
    clock.arm(this, this.#startMs + this.#periodMs);
  }

  /** Something came from the peer. */
  heard(): void {
    this.#hasHeard = true;
  }

  /** Data went out: the peer opens its windows. */
  moved(): void {
    this.#hasMoved = true;
  }

  stop(): void {
    this.#clock.disarm(this);
  }

  ring(): void {
    const nowMs = this.#clock.monotonicMs();
    this.#clock.arm(this, nowMs + this.#periodMs);
    const { ageMsMax } = this.#limits;
    if (ageMsMax !== undefined && nowMs - this.#startMs >= ageMsMax) this.#watched.drain();
    if (this.#isUnfinishedTooLong(nowMs)) return this.#watched.late('unfinished');
    if (this.#isUnread(nowMs)) return this.#watched.late('unread');
    if (this.#hasNoWindow(nowMs)) this.#watched.late('no_window');
    // In order: a call may be on its way just now.
    if (this.#isIdle(nowMs)) this.#watched.drain();
    this.#lookForLife(nowMs);
  }

  #isUnfinishedTooLong(nowMs: number): boolean {
    const { isUnfinished, framesReceived } = this.#watched;
    // After a whole frame, what is unfinished now is another one.
    if (!isUnfinished || framesReceived !== this.#framesReceived) this.#unfinishedSinceMs = undefined;
    if (isUnfinished) this.#unfinishedSinceMs ??= nowMs;
    this.#framesReceived = framesReceived;
    return this.#unfinishedSinceMs !== undefined && nowMs - this.#unfinishedSinceMs >= this.#limits.unfinishedMsMax;
  }

  #isUnread(nowMs: number): boolean {
    const { backlogBytes, passedOnBytes } = this.#watched;
    if (backlogBytes === 0 || passedOnBytes !== this.#passedOnBytes) this.#passedOnAtMs = nowMs;
    this.#passedOnBytes = passedOnBytes;
    return nowMs - this.#passedOnAtMs >= this.#limits.stallMsMax;
  }

  #hasNoWindow(nowMs: number): boolean {
    if (this.#hasMoved || this.#watched.queuedBytes === 0) this.#movedAtMs = nowMs;
    this.#hasMoved = false;
    return nowMs - this.#movedAtMs >= this.#limits.stallMsMax;
  }

  #isIdle(nowMs: number): boolean {
    const { hasStreams, newestStreamId } = this.#watched;
    if (hasStreams || newestStreamId !== this.#newestStreamId) this.#busyAtMs = nowMs;
    this.#newestStreamId = newestStreamId;
    return nowMs - this.#busyAtMs >= this.#limits.idleMsMax;
  }

  #lookForLife(nowMs: number): void {
    if (this.#hasHeard) {
      this.#hasHeard = false;
      this.#heardAtMs = nowMs;
      this.#askedAtMs = undefined;
      return;
    }
    if (this.#askedAtMs !== undefined) {
      if (nowMs - this.#askedAtMs >= this.#limits.keepaliveMs) this.#watched.late('silent');
    } else if (nowMs - this.#heardAtMs >= this.#limits.keepaliveMs) {
      if (this.#watched.isClient && !this.#watched.hasStreams) return;
      this.#askedAtMs = nowMs;
      this.#watched.askForLife();
    }
  }
}
