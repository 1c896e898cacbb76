import type { CallSettings } from '../../sidecar/wire/grpc/grpc-client.ts';
import { HeaderField } from '../../sidecar/wire/hpack/header-field.ts';
import { systemClock } from '../platform/clock.ts';
import type { MetadataEntries } from './call-metadata.ts';
import type { CallTerms } from './channel.ts';

const none: readonly HeaderField[] = [];

/** What the engine is told of a call. */
export function callSettings({ metadata, deadlineMs, signal }: CallTerms): CallSettings {
  const timeoutMs = deadlineMs === undefined ? undefined : deadlineMs - systemClock.wallMs();
  return { fields: metadata.length === 0 ? none : fieldsOf(metadata), timeoutMs, signal };
}

function fieldsOf(metadata: MetadataEntries): HeaderField[] {
  // What is short or guessed easily must be in no table: RFC 7541 §7.1.3.
  return metadata.map(([name, value]) => new HeaderField(name, value, { isNeverIndexed: name === 'authorization' }));
}
