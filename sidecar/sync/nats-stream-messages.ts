import type { Change, Position } from '../../src/domain/change.ts';
import type { Tenant } from '../../src/domain/tenant.ts';
import {
  StreamAnswer,
  StreamUpdate,
  type StreamUpdate as WireUpdate,
} from '../../src/gen/trafficmanager/v1/change_stream.ts';
import { splitFields } from '../../src/wire/field-walk.ts';
import { ownBytes } from '../../src/wire/own-bytes.ts';
import { receiveChange } from '../../src/wire/received-change.ts';
import { decodeStreamMeta } from '../../src/wire/stream-wire.ts';

/** Somebody's word that a tenant is at a position, and what it has there. */
export type Beacon = {
  /** Of the stream that it speaks of. */
  readonly epoch: string;
  readonly position: Position;
  /** Of what the tenant has at that position. */
  readonly digest: string;
  /** The speaker's lease. */
  readonly term: number;
};

/** Changes as they commit, or none. */
export type LiveUpdate = Beacon & {
  /** The revision before its first change. */
  readonly after: number;
  readonly changes: readonly Change[];
  /** More of it follows. */
  readonly continued: boolean;
};

/** What the stream itself says of where it is. */
export type StreamHead = Beacon & {
  /** Where in the stream that is said. */
  readonly sequence: number;
  readonly resourceCount: number;
  readonly subjectCount: number;
  readonly purgedRevision: number;
  readonly tenant: Tenant;
};

/** What the relay answers. */
export type RelayAnswer =
  | { readonly kind: 'position'; readonly beacon: Beacon; readonly stalenessMs: number }
  | { readonly kind: 'tenant_not_found' };

/** `changes` of a StreamUpdate by its tag, in change_stream.proto. */
const changesTag = 0x32;

/** The changes in it keep bytes of their own: the message stands in a larger piece of memory, which they would hold on to. */
export function liveUpdateFrom(message: Uint8Array): LiveUpdate {
  const bytes = ownBytes(message);
  const { values, rest } = splitFields(bytes, { start: 0, end: bytes.length }, changesTag);
  const wire = StreamUpdate.decode(rest);
  const changes = values.map(({ start, end }) => receiveChange(bytes, start, end));
  return { ...beaconOf(wire), after: Number(wire.after), changes, continued: wire.continued };
}

export function streamHeadFrom(bytes: Uint8Array, sequence: number): StreamHead {
  return { ...decodeStreamMeta(bytes), sequence };
}

export function relayAnswerFrom(bytes: Uint8Array): RelayAnswer {
  const { result, stalenessMs } = StreamAnswer.decode(bytes);
  switch (result?.$case) {
    case 'position':
      return { kind: 'position', beacon: beaconOf(result.value), stalenessMs: Number(stalenessMs) };
    case 'tenantNotFound':
      return { kind: 'tenant_not_found' };
    case undefined:
      throw new Error('the relay answered something that this program does not know');
  }
}

function beaconOf(wire: Pick<WireUpdate, 'epoch' | 'revision' | 'commitId' | 'digest' | 'term'>): Beacon {
  const { epoch, revision, commitId, digest, term } = wire;
  return { epoch, position: { revision: Number(revision), commitId }, digest, term: Number(term) };
}
