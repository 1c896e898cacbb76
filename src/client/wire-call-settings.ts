import type { Metadata } from '@grpc/grpc-js';
import { HeaderField } from '../../sidecar/wire/hpack/header-field.ts';
import { systemClock } from '../platform/clock.ts';
import type { CallTerms } from './channel.ts';

/** What the engine is told of a call. */
export function callSettings({ metadata, deadline }: CallTerms): {
  readonly fields: readonly HeaderField[];
  readonly timeoutMs: number | undefined;
} {
  const timeoutMs = deadline === undefined ? undefined : deadline.getTime() - systemClock.wallMs();
  return { fields: fieldsOf(metadata), timeoutMs };
}

function fieldsOf(metadata: Metadata): HeaderField[] {
  return Object.entries(metadata.getMap()).map(([name, value]) => {
    // What is short or guessed easily must be in no table: RFC 7541 §7.1.3.
    const isNeverIndexed = name === 'authorization';
    return new HeaderField(name, typeof value === 'string' ? value : value.toString('base64'), { isNeverIndexed });
  });
}
