import {
  createClient,
  message,
  Route,
  RouteState,
  Tenant,
  type TrafficManagerClient,
} from '../../../src/client/index.ts';
import { provideNatsServer } from '../../support/nats.ts';
import { createDatabase, startTestPostgres } from '../../support/postgres.ts';
import { readPublishedStreams } from '../../support/published-stream.ts';
import { startProcess, type TestProcess } from '../../support/sidecar-process.ts';
import { median, printTable } from '../report.ts';

const tenant = 'bench';
const kills = 8;

type Member = { readonly process: TestProcess; readonly client: TrafficManagerClient };

/**
 * From kill -9 of the control plane that publishes to the moment when a change, written through the other one right after the
 * kill, is what the stream has. Both are processes; a new one takes the place of each that was killed.
 */
export async function benchTakeover(): Promise<void> {
  await using owned = new AsyncDisposableStack();
  const postgres = owned.use(await startTestPostgres({ durable: true }));
  const database = owned.use(await createDatabase(postgres.url));
  const nats = owned.use(await (await provideNatsServer()).start());
  const startMember = async (): Promise<Member> => {
    const process = owned.use(
      await startProcess('controlPlane', {
        DATABASE_URL: database.url,
        TM_NATS_URL: nats.url,
        TM_CONTROL_PLANE_ADDRESS: '127.0.0.1:0',
      }),
    );
    return { process, client: owned.use(createClient({ address: process.addresses[0] ?? '' })) };
  };
  let members: [Member, Member] = [await startMember(), await startMember()];
  await members[0].client.tenants.createTenant({ tenant: message(Tenant, { tenant }) });
  const published = owned.use(await readPublishedStreams(nats.url, database.url));
  await published.untilEqual(tenant);

  const tookMs: number[] = [];
  for (let kill = 0; kill < kills; kill++) {
    const [leader, other] = await inOrder(members);
    const killedAtMs = performance.now();
    leader.process.child.kill('SIGKILL');
    await other.client.routes.updateRoute({ route: routeOf(kill), allowMissing: true });
    await published.untilEqual(tenant);
    tookMs.push(performance.now() - killedAtMs);
    members = [other, await startMember()];
  }
  printTable(
    ['kills', '', 'killed -> stored by the other, median ms', 'least', 'most'],
    [[`${kills}`, '', median(tookMs), Math.min(...tookMs), Math.max(...tookMs)]],
  );
}

/** The one that publishes first; asks until they agree. */
async function inOrder([one, two]: [Member, Member]): Promise<[Member, Member]> {
  for (;;) {
    for (const [first, second] of [
      [one, two],
      [two, one],
    ] as const) {
      const { changeStream } = await first.client.changeStreams.getChangeStream({ tenant });
      if (changeStream !== undefined && changeStream.leader === changeStream.replica) return [first, second];
    }
  }
}

function routeOf(kill: number): Route {
  return message(Route, {
    key: { tenant, service: 'cart', environment: 'production', version: 'v1' },
    endpoints: [{ url: `grpc://kill-${kill}`, weight: 1, zone: '', priority: 0, labels: {} }],
    state: RouteState.ROUTE_STATE_ACTIVE,
  });
}
