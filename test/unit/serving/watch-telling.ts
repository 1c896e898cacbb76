import type { WatchResponse } from '../../../src/gen/trafficmanager/v1/watch_service.ts';
import type { FakeWrite } from '../../fakes/fake-watched-tenant.ts';
import { WatchStage, type FakeWatch, type WatchStageOptions } from '../../fakes/watch-stage.ts';

/** What a message says, in a few words. */
export function outline({ revision, commitId, event }: WatchResponse): string {
  const at = `${revision} ${commitId}`;
  switch (event?.$case) {
    case 'snapshotChunk':
      return `${at}: ${event.value.routes.length} routes${event.value.last ? ', last' : ''}`;
    case 'changeBatch': {
      const { changes, continued, coalescedAfter } = event.value;
      const kind = coalescedAfter === undefined ? '' : ` coalesced after ${coalescedAfter}`;
      return `${at}: changes ${changes.map((change) => change.revision).join(' ')}${kind}${continued ? ' continued' : ''}`;
    }
    case 'progress':
      return `${at}: progress`;
    case undefined:
      return `${at}: nothing`;
  }
}

/** One change of it is larger than a message is meant to be. */
export const largeUrl = `grpc://${'p'.repeat(200_000)}:1`;

export function route(version: string, fields: Partial<FakeWrite> = {}): FakeWrite {
  return { kind: 'route', service: 'cart', version, url: 'grpc://a:1', ...fields };
}

/** Commits transactions with so many changes, each of a route of its own. */
export function commit(stage: WatchStage, sizes: readonly number[], fields: Partial<FakeWrite> = {}): void {
  for (const size of sizes) {
    const next = stage.tenant.position.revision + 1;
    stage.tenant.commit(...Array.from({ length: size }, (_, index) => route(`v${next + index}`, fields)));
  }
}

export function withCommits(...sizes: readonly number[]): WatchStage {
  const stage = new WatchStage();
  commit(stage, sizes);
  return stage;
}

export const times = (count: number, size: number): number[] => Array.from({ length: count }, () => size);

/** A tenant whose window holds so many changes besides its newest transaction. */
export function newStage(changesMax: number, options: WatchStageOptions = {}): WatchStage {
  return new WatchStage({ bounds: { changesMax, bytesMax: 64 * 1024 * 1024 }, ...options });
}

/** Lets the server do all it can, and takes what the client has read by then. */
export async function messages(stage: WatchStage, { stream }: FakeWatch): Promise<WatchResponse[]> {
  await stage.settle();
  return stream.received.splice(0);
}

export async function outlines(stage: WatchStage, watch: FakeWatch): Promise<string[]> {
  return (await messages(stage, watch)).map(outline);
}

/** The revisions of the changes in some messages. */
export function revisionsIn(some: readonly WatchResponse[]): number[] {
  return some.flatMap(({ event }) =>
    event?.$case === 'changeBatch' ? event.value.changes.map(({ revision }) => Number(revision)) : [],
  );
}

export const upTo = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);
