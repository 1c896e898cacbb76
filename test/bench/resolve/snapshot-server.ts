import type { Change } from '../../../src/domain/change.ts';
import { ChangeWindow } from '../../../src/domain/change-window.ts';
import { TenantState } from '../../../src/domain/tenant-view.ts';
import { WatchServiceService } from '../../../src/gen/trafficmanager/v1/watch_service.ts';
import { systemClock as clock } from '../../../src/platform/clock.ts';
import { createGrpcServer } from '../../../src/platform/grpc/server.ts';
import { bindService } from '../../../src/platform/grpc/service.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { afterSockets } from '../../../src/platform/turns.ts';
import { serviceOptions } from '../../../src/serving/service-options.ts';
import { watchHandlers } from '../../../src/serving/watch-service.ts';
import type { WatchedTenant } from '../../../src/serving/watch-source.ts';
import { benchRoute } from './bench-routes.ts';

// A real Watch over a made-up tenant: the sidecar under load needs a source, not a database.
const routes = Number(process.env['BENCH_ROUTES']);
const state = new TenantState();
state.tenant = {
  tenant: 'bench',
  displayName: '',
  quotas: {},
  state: 'ACTIVE',
  etag: '',
  ownRevision: 1,
  revision: routes + 1,
  createTimeMs: 0,
};
for (let index = 0; index < routes; index++) state.putRoute(benchRoute(index));
const window = new ChangeWindow(
  { revision: routes + 1, commitId: 'bench' },
  { changesMax: 1_000, bytesMax: 1_000_000 },
);
const listeners = new Set<() => void>();
const tenant: WatchedTenant = {
  window,
  get position() {
    return window.end;
  },
  state,
  stalenessMs: () => 0,
  subscribe: (listener) => {
    listeners.add(listener);
    return { [Symbol.dispose]: () => void listeners.delete(listener) };
  },
};

const grpc = createGrpcServer({ drainMs: 0 });
const options = serviceOptions({ logger: createLogger('bench-source', 'silent'), draining: grpc.draining });
const { definition, implementation } = bindService(
  WatchServiceService,
  watchHandlers({
    source: {
      open: () => Promise.resolve(tenant),
      find: () => Promise.resolve(tenant),
      older: () => Promise.resolve([]),
    },
    clock,
    schedule: afterSockets,
    stallMsMax: 30_000,
    watchersMax: 100,
    watchersMaxOf: () => 100,
  }),
  options,
);
grpc.server.addService(definition, implementation);
process.send?.({ address: await grpc.listen('127.0.0.1:0') });
process.once('disconnect', () => process.exit(0));

/** Changes a second, as the parent asks: in transactions of one, some every 10 ms. */
let perSecond = 0;
let changed = 0;
setInterval(() => {
  for (let count = 0; count < perSecond / 100; count++) window.append([nextChange()]);
  if (perSecond > 0) for (const listener of listeners) listener();
}, 10);
process.on('message', (message) => {
  perSecond = Number(message);
  process.send?.(perSecond);
});

function nextChange(): Change {
  const revision = window.end.revision + 1;
  const before = benchRoute((changed++ * 7_919) % routes);
  const after = { ...before, revision };
  state.putRoute(after);
  return {
    tenant: 'bench',
    revision,
    commitRevision: revision,
    commitId: `bench-${revision}`,
    action: 'UPDATED',
    actor: 'bench',
    correlationId: 'bench',
    commitTimeMs: Date.now(),
    subject: { kind: 'route', before, after },
  };
}
