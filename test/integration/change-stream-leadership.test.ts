import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { createClient, message, Tenant, type ChangeStream, type TrafficManagerClient } from '../../src/client/index.ts';
import { provideNatsServer, type TestNats } from '../support/nats.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { readPublishedStreams, type PublishedStreams } from '../support/published-stream.ts';
import { startProcess, type TestProcess } from '../support/sidecar-process.ts';
import { endpointAt, keyOf, routeOf } from './control-plane-bench.ts';

type Member = { readonly process: TestProcess; readonly client: TrafficManagerClient };

/** Two control planes as processes of their own, so that they can be killed and stopped. */
describe('of two control planes', () => {
  const owned = new AsyncDisposableStack();
  let nats: TestNats;
  let database: TestDatabase;
  let published: PublishedStreams;
  let members: Member[];

  beforeAll(async () => {
    nats = owned.use(await (await provideNatsServer()).start());
    database = owned.use(await createDatabase(inject('postgresUrl')));
    members = [await startMember(), await startMember()];
    published = owned.use(await readPublishedStreams(nats.url, database.url));
  });
  afterAll(async () => await owned.disposeAsync());

  async function startMember(): Promise<Member> {
    const process = owned.use(
      await startProcess('controlPlane', {
        DATABASE_URL: database.url,
        TM_NATS_URL: nats.url,
        TM_CONTROL_PLANE_ADDRESS: '127.0.0.1:0',
        TM_DATABASE_POOL_SIZE: '4',
      }),
    );
    const client = owned.use(createClient({ address: process.addresses[0] ?? '', defaults: { timeoutMs: 10_000 } }));
    return { process, client };
  }

  async function statusOf({ client }: Member, tenant: string): Promise<ChangeStream> {
    const { changeStream } = await client.changeStreams.getChangeStream({ tenant });
    if (changeStream === undefined) throw new Error('an answer has a stream');
    return changeStream;
  }

  /** Asks until the members agree who of them leads. */
  async function findLeader(tenant: string): Promise<{ leader: Member; follower: Member; status: ChangeStream }> {
    for (;;) {
      const statuses = await Promise.all(members.map(async (member) => await statusOf(member, tenant)));
      const index = statuses.findIndex(({ replica, leader }) => replica === leader);
      const [leader, follower, status] = [members[index], members[1 - index], statuses[index]];
      if (leader !== undefined && follower !== undefined && status !== undefined) return { leader, follower, status };
    }
  }

  async function newTenant(tenant: string): Promise<string> {
    const [{ client }] = members as [Member];
    await client.tenants.createTenant({ tenant: message(Tenant, { tenant }) });
    await client.routes.createRoute({ route: routeOf(keyOf(tenant)) });
    return tenant;
  }

  async function move({ client }: Member, tenant: string, url: string): Promise<void> {
    await client.routes.updateRoute({ route: routeOf(keyOf(tenant), { endpoints: [endpointAt(url)] }) });
  }

  test('one publishes, whichever of them took the write, and both say who', async () => {
    const tenant = await newTenant('one-publishes');
    for (const [index, member] of members.entries()) {
      await move(member, tenant, `grpc://from-${index}`);
      await published.untilEqual(tenant);
    }
    const { leader, follower, status } = await findLeader(tenant);
    const { meta } = await published.untilEqual(tenant);
    expect(status).toMatchObject({ term: BigInt(meta?.term ?? 0), epoch: meta?.epoch, publishedRevision: 4n, lag: 0n });
    const other = await statusOf(follower, tenant);
    expect(other).toMatchObject({ leader: status.replica, epoch: meta?.epoch, publishedRevision: 4n });
    expect(other.replica).not.toBe(status.replica);
    // Filling its stream for the first time repaired nothing.
    expect((await statusOf(leader, tenant)).counters?.repairs).toBe(0n);
  });

  test('the other one publishes when the first is killed, in a new term and the same epoch', async () => {
    const tenant = await newTenant('killed');
    const before = await published.untilEqual(tenant);
    const { leader, follower } = await findLeader(tenant);
    leader.process.child.kill('SIGKILL');
    await leader.process.ended;
    await move(follower, tenant, 'grpc://after-the-kill');
    const after = await published.untilEqual(tenant);
    expect(after.meta?.term).toBeGreaterThan(before.meta?.term ?? Infinity);
    expect(after.meta?.epoch).toBe(before.meta?.epoch);
    members = [follower, await startMember()];
  });

  test('one that is stopped, and wakes up when the other has gone on, changes nothing', async () => {
    const tenant = await newTenant('stopped');
    await published.untilEqual(tenant);
    const { leader, follower, status } = await findLeader(tenant);
    leader.process.child.kill('SIGSTOP');
    for (let write = 0; write < 20; write++) await move(follower, tenant, `grpc://meanwhile-${write}`);
    const meanwhile = await published.untilEqual(tenant);
    expect(meanwhile.meta?.term).toBe(Number(status.term) + 1);
    leader.process.child.kill('SIGCONT');
    // Both take writes again; the one that was stopped may not publish any of them.
    let { sequence } = meanwhile;
    for (let write = 0; write < 20; write++) {
      await move(write % 2 === 0 ? leader : follower, tenant, `grpc://awake-${write}`);
      const head = await published.untilEqual(tenant);
      expect(head.meta?.term).toBe(meanwhile.meta?.term);
      expect(head.sequence).toBeGreaterThan(sequence);
      ({ sequence } = head);
    }
  });

  test('the other one takes over at once when the first is asked to stop', async () => {
    const tenant = await newTenant('asked');
    const { leader, follower } = await findLeader(tenant);
    leader.process.child.kill('SIGTERM');
    await leader.process.ended;
    await move(follower, tenant, 'grpc://after-the-stop');
    const { meta } = await published.untilEqual(tenant, 1_000);
    expect(meta?.position.revision).toBe(3);
    members = [follower, await startMember()];
  });
});
