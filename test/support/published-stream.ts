import { compareStream, heldEntry, type HeldEntry } from '../../src/app/relay/compare-stream.ts';
import { TenantState } from '../../src/domain/tenant-view.ts';
import { NatsChangeStream } from '../../src/outbound/nats/nats-change-stream.ts';
import { Database } from '../../src/outbound/postgres/database.ts';
import { PostgresConfigurationStore } from '../../src/outbound/postgres/postgres-configuration-store.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { connectNats } from '../../src/platform/nats/connect-nats.ts';
import { ChangeStreamError, type StreamHead } from '../../src/ports/change-stream.ts';

/** Streams beside what they are made of, read by a test on its own. */
export interface PublishedStreams extends AsyncDisposable {
  head(tenant: string): Promise<StreamHead | undefined>;
  entries(tenant: string): Promise<HeldEntry[]>;
  /** Looks until the stream is what Postgres has, and answers its head; rejects with what differs when that takes too long. */
  untilEqual(tenant: string, boundMs?: number): Promise<StreamHead>;
}

/** After that the test fails with what differs. How fast streams converge is the fault suite's to hold. */
const boundMsDefault = 30_000;

export async function readPublishedStreams(natsUrl: string, databaseUrl: string): Promise<PublishedStreams> {
  const owned = new AsyncDisposableStack();
  const logger = createLogger('test', 'silent');
  const link = owned.use(connectNats({ url: natsUrl, name: 'reader', logger }));
  await link.opened;
  const stream = new NatsChangeStream(link);
  const openDatabase = (): Database =>
    new Database({
      url: databaseUrl,
      poolSize: 2,
      statementTimeoutMs: 5_000,
      responseTimeoutMs: 5_000,
      onIdleError: () => {},
    });
  const database = owned.use(openDatabase());
  const store = new PostgresConfigurationStore(database);
  const entries = async (tenant: string): Promise<HeldEntry[]> => {
    const all: HeldEntry[] = [];
    for await (const entry of stream.entries(tenant)) all.push(heldEntry(entry));
    return all;
  };
  const compare = async (tenant: string): Promise<string | StreamHead> => {
    const snapshot = await store.load(tenant);
    if (snapshot === undefined) return 'no tenant';
    const head = await stream.head(tenant);
    if (head?.meta === undefined) return 'no meta';
    const { meta } = head;
    const state = new TenantState();
    state.tenant = snapshot.tenant;
    for (const route of snapshot.routes) state.putRoute(route);
    for (const policy of snapshot.policies) state.putPolicy(policy);
    const held = await entries(tenant);
    const { missing, extraneous, digest, resourceCount } = compareStream(held, state, () => false);
    const expected = {
      position: snapshot.position,
      missing: 0,
      extraneous: 0,
      digests: [state.digest.toString(), state.digest.toString()],
      resourceCounts: [state.digest.count, state.digest.count],
      enoughSubjects: true,
    };
    const found = {
      position: meta.position,
      missing: missing.length,
      extraneous: extraneous.length,
      digests: [meta.digest, digest],
      resourceCounts: [meta.resourceCount, resourceCount],
      enoughSubjects: held.length >= meta.subjectCount,
    };
    // Read piece by piece: it is of one moment only if nothing was published meanwhile.
    const headAfter = await stream.head(tenant);
    if (JSON.stringify(headAfter) !== JSON.stringify(head)) return 'it moved while it was read';
    if (JSON.stringify(found) === JSON.stringify(expected)) return head;
    return `stream ${JSON.stringify(found)}, Postgres ${JSON.stringify(expected)}`;
  };
  const tryToCompare = async (tenant: string): Promise<string | StreamHead> =>
    compare(tenant).catch((error: unknown) => {
      // While servers are away there is nothing to compare with.
      if (error instanceof ChangeStreamError || error instanceof Error) return error.message;
      throw error;
    });
  return {
    head: async (tenant) => await stream.head(tenant),
    entries,
    untilEqual: async (tenant, boundMs = boundMsDefault) => {
      const end = performance.now() + boundMs;
      for (;;) {
        const outcome = await tryToCompare(tenant);
        if (typeof outcome !== 'string') return outcome;
        if (performance.now() > end) throw new Error(`${tenant} did not converge within ${boundMs} ms: ${outcome}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    [Symbol.asyncDispose]: async () => await owned.disposeAsync(),
  };
}
