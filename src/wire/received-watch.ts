import type { Change } from '../domain/change.ts';
import { ChangeBatch, WatchResponse } from '../gen/trafficmanager/v1/watch_service.ts';
import { splitFields } from './field-walk.ts';
import { ownBytes } from './own-bytes.ts';
import { receiveChange } from './received-change.ts';

/** `change_batch` of a WatchResponse, and `changes` in it, by their tags, in watch_service.proto. */
const batchTag = 0x22;
const changesTag = 0x0a;

/** A message of a Watch whose changes are read one by one, each when it is asked for. */
export type ReceivedWatch = Pick<WatchResponse, 'revision' | 'commitId' | 'stalenessMs'> & {
  readonly event: ReceivedEvent | undefined;
};

export type ReceivedBatch = {
  readonly changes: Iterable<Change>;
  readonly continued: boolean;
  readonly coalescedAfter?: bigint | undefined;
};

type ReceivedEvent =
  | Exclude<NonNullable<WatchResponse['event']>, { $case: 'changeBatch' }>
  | { readonly $case: 'changeBatch'; readonly value: ReceivedBatch };

/** Reads a WatchResponse. The changes in it keep bytes of their own. */
export function receiveWatch(message: Buffer): ReceivedWatch {
  const { values, rest } = splitFields(message, { start: 0, end: message.length }, batchTag);
  const batch = values.at(-1);
  const { event, ...head } = WatchResponse.decode(batch === undefined ? message : rest);
  if (batch !== undefined) return { ...head, event: { $case: 'changeBatch', value: receiveBatch(message, batch) } };
  return { ...head, event: event?.$case === 'changeBatch' ? undefined : event };
}

function receiveBatch(
  message: Buffer,
  { start, end }: { readonly start: number; readonly end: number },
): ReceivedBatch {
  // Who sends keeps the message in a larger piece of memory, which the changes would hold on to.
  const bytes = ownBytes(message.subarray(start, end));
  const { values, rest } = splitFields(bytes, { start: 0, end: bytes.length }, changesTag);
  const { continued, coalescedAfter } = ChangeBatch.decode(rest);
  return { changes: changesIn(bytes, values), continued, coalescedAfter };
}

function* changesIn(
  bytes: Buffer,
  places: readonly { readonly start: number; readonly end: number }[],
): Generator<Change, void, void> {
  for (const { start, end } of places) yield receiveChange(bytes, start, end);
}
