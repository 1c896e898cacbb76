import { Metadata } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { SidecarWatchSource } from '../../../sidecar/lookup/sidecar-watch-source.ts';
import { SnapshotMemory } from '../../../sidecar/snapshot/snapshot-memory.ts';
import type { ChangeSink, ChangeSource, SourceEnd } from '../../../sidecar/sync/change-source.ts';
import { Subscriptions } from '../../../sidecar/sync/subscriptions.ts';
import { TenantSync } from '../../../sidecar/sync/tenant-sync.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import type { WatchedTenant } from '../../../src/serving/watch-source.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { nextTurn } from '../../fakes/watch-stage.ts';

/** A source whose sink a test calls itself. */
class OpenSource implements ChangeSource {
  sink: ChangeSink | undefined;
  follow(_tenant: string, _after: unknown, sink: ChangeSink, signal: AbortSignal): Promise<SourceEnd> {
    this.sink = sink;
    return new Promise((resolve) => {
      signal.addEventListener('abort', () => resolve({ kind: 'disconnected', error: undefined }));
    });
  }
}

function sidecar() {
  const clock = new FakeClock();
  const memory = new SnapshotMemory({ bytesMax: 1e6 });
  const source = new OpenSource();
  const subscriptions = new Subscriptions({
    scope: { tenants: ['acme'], onDemand: false },
    clock,
    start: (tenant) =>
      new TenantSync({
        tenant,
        memory: memory.tenant(tenant),
        source,
        clock,
        random: () => 0,
        logger: createLogger('test', 'silent'),
      }),
    release: () => {},
  });
  const watches = new SidecarWatchSource(subscriptions, clock);
  const open = (revision: number): Promise<WatchedTenant> =>
    watches.open('acme', revision, {
      signal: new AbortController().signal,
      draining: new AbortController().signal,
      deadlineMs: undefined,
      correlationId: '',
      metadata: new Metadata(),
    });
  return { clock, source, open };
}

const snapshotAt = (revision: number) => ({
  position: { revision, commitId: `${revision}` },
  routes: [],
  policies: [],
});

describe('a watch of a sidecar', () => {
  it('finds one object for a tenant, so that its watchers are served together', async () => {
    const { source, open } = sidecar();
    await nextTurn();
    source.sink?.snapshot(snapshotAt(5), 0);
    expect(await open(5)).toBe(await open(0));
  });

  it('waits for a revision that is on its way', async () => {
    const { source, open } = sidecar();
    await nextTurn();
    source.sink?.snapshot(snapshotAt(5), 0);
    const opening = open(6);
    source.sink?.snapshot(snapshotAt(6), 0);
    expect((await opening).position.revision).toBe(6);
  });

  it('does not call a revision a future one when it has not heard from its source since', async () => {
    const { clock, source, open } = sidecar();
    await nextTurn();
    source.sink?.snapshot(snapshotAt(5), 1_000);
    const refused = open(6).catch((error: unknown) => error);
    await nextTurn();
    clock.advance(5_000);
    expect(await refused).toMatchObject({ reason: 'REVISION_NOT_REACHED' });
  });

  it('opens at what it has when its source has confirmed that there is no more', async () => {
    const { clock, source, open } = sidecar();
    await nextTurn();
    source.sink?.snapshot(snapshotAt(5), 0);
    const opening = open(6);
    await nextTurn();
    clock.advance(2_000);
    source.sink?.confirmed({ revision: 5, commitId: '5' }, 100);
    clock.advance(3_000);
    // WatchService refuses the revision then: REVISION_IN_FUTURE.
    expect((await opening).position.revision).toBe(5);
  });
});
