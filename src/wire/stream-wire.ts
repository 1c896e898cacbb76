import type { Change, ChangeSubject } from '../domain/change.ts';
import type { StreamMeta, StreamUpdate } from '../domain/stream-position.ts';
import { Change as WireChange } from '../gen/trafficmanager/v1/change.ts';
import {
  StreamAnswer as WireAnswer,
  StreamMeta as WireMeta,
  StreamUpdate as WireUpdate,
} from '../gen/trafficmanager/v1/change_stream.ts';
import { changeFromWire, changeToWire } from './change-wire.ts';
import { tenantFromWire, tenantToWire } from './tenant-wire.ts';

/** The change stream's messages as bytes. */

export function encodeStreamMeta(meta: StreamMeta): Uint8Array {
  return WireMeta.encode({
    epoch: meta.epoch,
    revision: BigInt(meta.position.revision),
    commitId: meta.position.commitId,
    digest: meta.digest,
    resourceCount: BigInt(meta.resourceCount),
    subjectCount: BigInt(meta.subjectCount),
    purgedRevision: BigInt(meta.purgedRevision),
    tenant: tenantToWire(meta.tenant),
    term: BigInt(meta.term),
    publishTime: new Date(meta.publishTimeMs),
  }).finish();
}

/** Throws when it is no meta, or that of a newer program without a tenant. */
export function decodeStreamMeta(bytes: Uint8Array): StreamMeta {
  const wire = WireMeta.decode(bytes);
  if (wire.tenant === undefined) throw new Error('the meta of a stream has no tenant');
  return {
    epoch: wire.epoch,
    position: { revision: Number(wire.revision), commitId: wire.commitId },
    digest: wire.digest,
    resourceCount: Number(wire.resourceCount),
    subjectCount: Number(wire.subjectCount),
    purgedRevision: Number(wire.purgedRevision),
    tenant: tenantFromWire(wire.tenant),
    term: Number(wire.term),
    publishTimeMs: wire.publishTime?.getTime() ?? 0,
  };
}

/** A change without what was before it: the stream keeps what is, the log keeps what was. */
export function encodeStreamChange(change: Change): Uint8Array {
  return WireChange.encode(changeToWire(withoutBefore(change))).finish();
}

/** Throws when it is no change, or one that this program does not know. */
export function decodeStreamChange(bytes: Uint8Array): Change {
  return changeFromWire(WireChange.decode(bytes));
}

/** An update in as many messages as it takes: each has at most so many bytes of changes, or one change. */
export function encodeStreamUpdate(update: StreamUpdate, changeBytesMax: number): Uint8Array[] {
  const common = {
    epoch: update.epoch,
    after: BigInt(update.after),
    revision: BigInt(update.position.revision),
    commitId: update.position.commitId,
    digest: update.digest,
    term: BigInt(update.term),
  };
  const parts: WireChange[][] = [[]];
  let bytes = 0;
  for (const change of update.changes) {
    const wire = changeToWire(withoutBefore(change));
    const length = WireChange.encode(wire).finish().length;
    if (bytes > 0 && bytes + length > changeBytesMax) {
      parts.push([]);
      bytes = 0;
    }
    bytes += length;
    parts.at(-1)?.push(wire);
  }
  return parts.map((changes, index) =>
    WireUpdate.encode({ ...common, changes, continued: index < parts.length - 1 }).finish(),
  );
}

/** What a relay answers to whoever asks where a tenant is; undefined: there is no such tenant. */
export function encodeStreamAnswer(position: StreamUpdate | undefined, stalenessMs: number): Uint8Array {
  const value = position && WireUpdate.decode(encodeStreamUpdate(position, Infinity)[0] ?? new Uint8Array());
  return WireAnswer.encode({
    result: value === undefined ? { $case: 'tenantNotFound', value: true } : { $case: 'position', value },
    stalenessMs: BigInt(Math.ceil(stalenessMs)),
  }).finish();
}

function withoutBefore(change: Change): Change {
  const subject: ChangeSubject =
    change.subject.kind === 'tenant'
      ? { ...change.subject, before: undefined }
      : { ...change.subject, before: undefined };
  return { ...change, subject };
}
