import type { ChangeWindow, WindowUnit } from '../domain/change-window.ts';
import type { Change, Position } from '../domain/change.ts';
import { encodeChangeBatch, encodePosition } from '../wire/watch-wire.ts';
import { watchLimits } from './limits.ts';
import { SharedMessage } from './shared-message.ts';
import type { WatchScope } from './watch-scope.ts';

/** How far a watcher has come in the changes. All watchers that got the same message share one. */
export type Cursor = {
  /** The resume point: everything up to here has been sent. */
  readonly position: Position;
  /** What has been sent in part; undefined: nothing. */
  readonly open: OpenRange | undefined;
};

/** A transaction or a coalesced range that takes several messages. */
export type OpenRange = {
  readonly end: Position;
  /** The revision before a coalesced range; undefined: a transaction. */
  readonly coalescedAfter: number | undefined;
  /** Its changes up to this revision have been sent, or are not wanted. */
  readonly sent: number;
  /** Whether a message with a part of it went out: then the last part must be sent even when nothing is left for it. */
  readonly begun: boolean;
};

/** One message, if what was looked at is wanted at all, and where the watcher is after it. */
export type Step = {
  readonly message: SharedMessage | undefined;
  /** Whether the message is part of a coalesced range. */
  readonly coalesced: boolean;
  readonly next: Cursor;
};

export type StepOptions = {
  readonly window: ChangeWindow;
  readonly scope: WatchScope;
  readonly encode: (change: Change) => Uint8Array;
};

export function cursorAt(position: Position): Cursor {
  return { position, open: undefined };
}

/** The revision after which the changes are that a watcher has not got. */
export function readUpTo({ position, open }: Cursor): number {
  return open?.sent ?? position.revision;
}

/** A cursor that is about to read everything up to the window's end as one coalesced range. */
export function coalesce({ position }: Cursor, window: ChangeWindow): Cursor {
  const { revision } = position;
  return { position, open: { end: window.end, coalescedAfter: revision, sent: revision, begun: false } };
}

/** What a watcher at a cursor, which the window reaches, gets next; undefined at the window's end. */
export function nextStep(cursor: Cursor, options: StepOptions): Step | undefined {
  if (cursor.open !== undefined) return partOf(cursor.position, cursor.open, options);
  const taken = wholeUnits(cursor.position, options);
  if (taken.kind === 'end') return undefined;
  if (taken.kind === 'too_large') return partOf(cursor.position, taken.range, options);
  const { changes, end } = taken;
  return { message: batch(end, changes, ended), coalesced: false, next: cursorAt(end) };
}

type Taken =
  | { readonly kind: 'end' }
  | { readonly kind: 'units'; readonly changes: readonly Uint8Array[]; readonly end: Position }
  /** The first unit is coalesced, or does not fit in a message. */
  | { readonly kind: 'too_large'; readonly range: OpenRange };

/** As many transactions as fit in a message. */
function wholeUnits(position: Position, { window, scope, encode }: StepOptions): Taken {
  const changes: Uint8Array[] = [];
  let bytes = 0;
  let looked = 0;
  let end: Position | undefined;
  for (const unit of window.unitsAfter(position.revision)) {
    const fits = looked + unit.entries.length <= watchLimits.changesPerStepMax;
    if (end === undefined && (unit.coalesced || !fits)) return { kind: 'too_large', range: rangeOf(unit, position) };
    if (unit.coalesced || !fits) break;
    const before = changes.length;
    for (const { change } of unit.entries) {
      if (change.revision <= position.revision || !scope.wants(change)) continue;
      const encoded = encode(change);
      changes.push(encoded);
      bytes += encoded.length;
    }
    if (bytes > watchLimits.messageBytes && changes.length - before > 1) {
      if (end === undefined) return { kind: 'too_large', range: rangeOf(unit, position) };
      changes.length = before;
      break;
    }
    looked += unit.entries.length;
    ({ end } = unit);
    if (bytes >= watchLimits.messageBytes) break;
  }
  return end === undefined ? { kind: 'end' } : { kind: 'units', changes, end };
}

function rangeOf(unit: WindowUnit, { revision }: Position): OpenRange {
  // Who resumes inside of a coalesced range has what is older than that.
  return { end: unit.end, coalescedAfter: unit.coalesced ? revision : undefined, sent: revision, begun: false };
}

/** The next message of a range that takes several. */
function partOf(position: Position, range: OpenRange, { window, scope, encode }: StepOptions): Step {
  const { end, coalescedAfter } = range;
  const changes: Uint8Array[] = [];
  let { sent } = range;
  let bytes = 0;
  let looked = 0;
  let complete = true;
  for (const change of changesOf(range, window)) {
    if (bytes >= watchLimits.messageBytes || looked >= watchLimits.changesPerStepMax) {
      complete = false;
      break;
    }
    looked++;
    sent = change.revision;
    if (!scope.wants(change)) continue;
    const encoded = encode(change);
    changes.push(encoded);
    bytes += encoded.length;
  }
  const coalesced = coalescedAfter !== undefined;
  if (complete) {
    const message = batch(end, changes, { continued: false, coalescedAfter, needed: range.begun });
    return { message, coalesced, next: cursorAt(end) };
  }
  const message = batch(position, changes, { continued: true, coalescedAfter, needed: false });
  const begun = range.begun || message !== undefined;
  return { message, coalesced, next: { position, open: { ...range, sent, begun } } };
}

function changesOf({ end, coalescedAfter, sent }: OpenRange, window: ChangeWindow): Iterable<Change> {
  return coalescedAfter === undefined ? changesIn(window, sent, end) : window.newestIn(sent, end.revision);
}

function* changesIn(window: ChangeWindow, sent: number, end: Position): Iterable<Change> {
  for (const unit of window.unitsAfter(sent)) {
    if (unit.after >= end.revision) return;
    for (const { change } of unit.entries) if (change.revision > sent) yield change;
  }
}

type BatchOptions = {
  readonly continued: boolean;
  readonly coalescedAfter: number | undefined;
  /** Whether it must be sent with nothing in it. */
  readonly needed: boolean;
};

const ended: BatchOptions = { continued: false, coalescedAfter: undefined, needed: false };

function batch(position: Position, changes: readonly Uint8Array[], options: BatchOptions): SharedMessage | undefined {
  if (changes.length === 0 && !options.needed) return undefined;
  return new SharedMessage(encodePosition(position), encodeChangeBatch(changes, options));
}
