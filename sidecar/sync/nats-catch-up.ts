import type { Position } from '../../src/domain/change.ts';
import type { Tenant } from '../../src/domain/tenant.ts';
import type { Beacon, StreamHead } from './nats-stream-messages.ts';

/** What a follower holds, and of which stream. */
export type HeldPlace = {
  readonly position: Position;
  /** Undefined: unknown, because not everything is held. */
  readonly digest: string | undefined;
  readonly tenantState: Tenant['state'];
  /** Of the stream that it was taken from; undefined: not known, it was held before this program began. */
  readonly place: StreamPlace | undefined;
};

/** A place in a stream: everything up to the sequence is held. */
export type StreamPlace = { readonly epoch: string; readonly sequence: number };

export type CatchUp =
  /** What is held is all there is. */
  | { readonly kind: 'nothing_missing' }
  /** The changes are in the stream, after this sequence. */
  | { readonly kind: 'read_after'; readonly sequence: number }
  | { readonly kind: 'read_all'; readonly why: string }
  /** There is nothing to believe in yet. */
  | { readonly kind: 'wait'; readonly why: string };

const wait = (why: string): CatchUp => ({ kind: 'wait', why });
const readAll = (why: string): CatchUp => ({ kind: 'read_all', why });

/**
 * What to do to hold what the tenant has. `head`: what the stream says; undefined: it is not there, or empty. `relay`: what the
 * relay says; undefined: it does not answer.
 *
 * A stream that was restored from an older copy is a stream with an older head, perhaps of an older epoch: only the relay can say
 * that going there is right. So another epoch than the one held is believed only when the relay and the stream agree on it, and an
 * older revision of the same epoch never.
 */
export function planCatchUp(
  held: HeldPlace | undefined,
  head: StreamHead | undefined,
  relay: Beacon | undefined,
): CatchUp {
  if (head === undefined) return wait('there is no stream, or nothing in it');
  if (relay !== undefined && relay.epoch !== head.epoch)
    return wait('the stream is not the one that the relay speaks of');
  if (held === undefined) return readAll('nothing is held');
  const { position, place } = held;
  const isSameStream = place?.epoch === head.epoch;
  const isAhead = head.position.revision > position.revision;
  if (!isSameStream && relay === undefined && !(place === undefined && head.position.revision >= position.revision))
    return wait('the stream is another one, and no relay says that it is the right one');
  if (head.position.commitId === position.commitId && head.position.revision === position.revision)
    return agrees(held, head) ? { kind: 'nothing_missing' } : readAll('what is held is not what the stream says');
  if (!isSameStream) return readAll('the stream is another one');
  if (head.position.revision === position.revision) return readAll('its history is another one');
  if (!isAhead) return planAhead(held, relay);
  if (position.revision < head.purgedRevision) return readAll('what was deleted meanwhile may not be in it any more');
  if (held.digest === undefined) return readAll('what does not fit in memory cannot be proven');
  if (held.tenantState !== head.tenant.state) return readAll('the tenant itself has changed');
  return { kind: 'read_after', sequence: place.sequence };
}

/** What is held is ahead of the stream: changes are told before the stream's head has them. */
function planAhead(held: HeldPlace, relay: Beacon | undefined): CatchUp {
  if (relay === undefined) return wait('the stream is behind what is held');
  if (relay.position.revision > held.position.revision) return wait('the stream does not have it yet');
  if (relay.position.revision < held.position.revision || agrees(held, relay)) return { kind: 'nothing_missing' };
  return wait('the stream does not have it yet, and what is held is not what the relay says');
}

/** Whether a beacon speaks of exactly what is held. */
export function agrees({ position, digest }: Pick<HeldPlace, 'position' | 'digest'>, beacon: Beacon): boolean {
  return (
    beacon.position.revision === position.revision &&
    beacon.position.commitId === position.commitId &&
    (digest === undefined || beacon.digest === digest)
  );
}
