import { expect, test } from 'vitest';
import { MemoryAnswers } from '../../../sidecar/lookup/memory-answers.ts';
import { SnapshotMemory } from '../../../sidecar/snapshot/snapshot-memory.ts';
import { Subscriptions } from '../../../sidecar/sync/subscriptions.ts';
import { TenantSync } from '../../../sidecar/sync/tenant-sync.ts';
import { LookupUsage } from '../../../sidecar/usage/lookup-usage.ts';
import { BatchResolveRequest, ResolveRequest } from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import { framedAnswer } from '../../../src/platform/grpc/framed-answer.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { resolverInstants } from '../../../src/serving/instant-answers.ts';
import { createRoute, exampleKey } from '../../fakes/example-configuration.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { SidecarHistory } from '../../fakes/sidecar-history.ts';
import { SidecarScriptedSource } from '../../fakes/sidecar-scripted-source.ts';

test('each lookup of a batch is counted once, also those before one that memory does not answer', async () => {
  const clock = new FakeClock();
  const source = new SidecarScriptedSource();
  const memory = new SnapshotMemory({ bytesMax: 1_000_000 });
  const logger = createLogger('sidecar', 'silent');
  const random = (): number => 0.5;
  await using subscriptions = new Subscriptions({
    scope: { tenants: ['acme'], onDemand: false },
    clock,
    start: (tenant) => new TenantSync({ tenant, memory: memory.tenant(tenant), source, clock, random, logger }),
    release: () => {},
  });
  const history = new SidecarHistory('acme');
  history.commit(createRoute(exampleKey('v1')));
  (await source.following(1)).tell((sink) => sink.snapshot(history.snapshot(), 0));
  const usage = new LookupUsage();
  const { batchResolve } = resolverInstants(new MemoryAnswers({ subscriptions, random, usage }), clock);
  const requests = ['v1', 'v1', 'unknown', 'v1'].map((version) => ({
    ...ResolveRequest.decode(new Uint8Array()),
    key: exampleKey(version),
  }));
  const answer = framedAnswer(batchResolve!, Buffer.from(BatchResolveRequest.encode({ requests }).finish()));
  // The handler is left with one.
  expect(answer).toHaveProperty('rest');
  expect(usage.take().versions).toEqual([{ ...exampleKey('v1'), lookups: 3 }]);
});
