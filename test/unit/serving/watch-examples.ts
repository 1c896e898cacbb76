import { expect } from 'vitest';
import type { DomainError } from '../../../src/domain/domain-error.ts';
import type { WatchResponse } from '../../../src/gen/trafficmanager/v1/watch_service.ts';
import type { FakeWrite } from '../../fakes/fake-watched-tenant.ts';
import type { FakeWatch, WatchStage } from '../../fakes/watch-stage.ts';

/** A route's new value: 4 KB when large, so that 16 of them fill a message. */
export function route(version: string, fields: { service?: string; large?: boolean; gone?: boolean } = {}): FakeWrite {
  const { service = 'cart', large = false, gone = false } = fields;
  const url = `grpc://${large ? 'x'.repeat(4_000) : version}.internal:1`;
  return { kind: 'route', service, version, url: gone ? undefined : url };
}

/** Writes of as many routes. */
export function routes(count: number, fields: { service?: string; large?: boolean } = {}): FakeWrite[] {
  return Array.from({ length: count }, (_, index) => route(`v${index}`, fields));
}

/** The revisions of the changes in messages, in the order in which they came. */
export function revisionsIn(messages: readonly WatchResponse[]): number[] {
  return messages.flatMap(({ event }) =>
    event?.$case === 'changeBatch' ? event.value.changes.map(({ revision }) => Number(revision)) : [],
  );
}

export function numbers(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

/** What kinds of messages came. */
export function kindsOf(messages: readonly WatchResponse[]): string[] {
  return messages.map(({ event }) => event?.$case ?? 'none');
}

export function lastOf(watch: FakeWatch): WatchResponse {
  const last = watch.stream.received.at(-1);
  if (last === undefined) throw new Error('nothing has come');
  return last;
}

/** A watch that has everything there is, and reads no further. */
export async function stalled(stage: WatchStage, fields: Parameters<WatchStage['watch']>[0] = {}): Promise<FakeWatch> {
  const watch = stage.watch({ afterRevision: BigInt(stage.tenant.position.revision), ...fields });
  await stage.settle();
  watch.stream.reading = false;
  return watch;
}

/** How a watch was ended by the server. */
export function errorOf(watch: FakeWatch): DomainError {
  const outcome = watch.outcome();
  expect(outcome).not.toBeUndefined();
  expect(outcome).not.toBe('cancelled');
  return outcome as DomainError;
}
