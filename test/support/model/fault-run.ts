import { setTimeout as delay } from 'node:timers/promises';
import { Client as Postgres } from 'pg';
import {
  createClient,
  message,
  Tenant,
  TrafficManagerError,
  type TrafficManagerClient,
} from '../../../src/client/index.ts';
import { seededRandom } from '../../fakes/seeded-random.ts';
import { createDatabase, startTestPostgres, type TestPostgres } from '../postgres.ts';
import { startProcess, type TestProcess } from '../sidecar-process.ts';
import type { Findings } from './check-calls.ts';
import { checkRun, readLogs } from './check-run.ts';
import { pick } from './draw-operation.ts';
import { RecordedWatch } from './recorded-watch.ts';
import { readLog } from './send-operation.ts';
import { Workload } from './workload.ts';

const tenants = ['red', 'blue'];
const clients = 6;
const shrink = { sharePercentMax: 20, routesMin: 3 };
/** Of one attempt: shorter than some of the pauses that are made, so that clients give up on calls that are carried out. */
const callTimeoutMs = 1_500;

export type FaultRunOptions = {
  readonly seed: number;
  readonly seconds: number;
  /** Told what is done to the processes. */
  readonly onFault?: (what: string) => void;
};

/**
 * Random operations over two control-plane processes and a Postgres of their own, which are killed, frozen and cut off meanwhile;
 * then everything is brought back, and all that clients and watchers were told is held against the log and the model.
 */
export async function runWithFaults({ seed, seconds, onFault = () => {} }: FaultRunOptions): Promise<Findings> {
  await using stack = new AsyncDisposableStack();
  const postgres = stack.use(await startTestPostgres({ durable: true }));
  const { url } = await createDatabase(postgres.url);
  // A replica that ends by itself ends the run: the others may wait for it for ever.
  const death = Promise.withResolvers<never>();
  const replicas: ReplicaProcess[] = [];
  for (let replica = 0; replica < 2; replica++) {
    const onDeath = (errors: string): void => death.reject(new Error(`replica ${replica} died: ${errors}`));
    replicas.push(stack.use(await ReplicaProcess.start(url, onDeath)));
  }
  const connections = replicas.map(({ address }) => stack.use(createClient({ address })));
  for (const tenant of tenants) await connections[0]?.tenants.createTenant({ tenant: message(Tenant, { tenant }) });

  const workload = new Workload({ seed, tenants, replicas: connections, clients, calm: false, callTimeoutMs });
  const random = seededRandom(seed);
  const watches = tenants.flatMap((tenant) =>
    [
      { after: 0n, everyChange: true, cutAfter: undefined },
      { after: 0n, everyChange: true, cutAfter: 30 },
      { after: undefined, everyChange: false, cutAfter: undefined },
      { after: undefined, everyChange: false, cutAfter: 30 },
    ].map((each) => new RecordedWatch({ ...each, tenant, replicas: connections, random, resumePauseMs: 30 })),
  );
  const watching = Promise.all(watches.map(async (each) => await each.run()));
  const working = workload.run(Infinity);
  const faults = makeFaults({
    random: seededRandom(seed + 1),
    seconds,
    postgres,
    databaseUrl: url,
    replicas,
    workload,
    onFault,
  });
  // What fails here fails the run at once, not at its end.
  const failing = Promise.all([working, watching]).then(async () => await faults);
  const made = await Promise.race([faults, failing, death.promise]);
  workload.stop();
  await Promise.race([working, failing, death.promise]);
  for (const connection of connections) await untilItServes(connection);
  const run = { tenants, replicas: connections, calls: workload.calls, watches, watching, shrink };
  const { violations, seen } = await checkRun(run, await readLogs(run));
  return { violations, seen: { ...seen, ...made } };
}

/** A control plane that is killed and started again at the same address. */
class ReplicaProcess implements AsyncDisposable {
  readonly address: string;
  readonly #environment: Record<string, string>;
  readonly #onDeath: (errors: string) => void;
  #process: TestProcess | undefined;

  private constructor(process: TestProcess, environment: Record<string, string>, onDeath: (errors: string) => void) {
    this.address = process.addresses[0] ?? '';
    this.#environment = environment;
    this.#onDeath = onDeath;
    this.#run(process);
  }

  static async start(databaseUrl: string, onDeath: (errors: string) => void): Promise<ReplicaProcess> {
    const environment = {
      DATABASE_URL: databaseUrl,
      TM_DATABASE_TIMEOUT_MS: '2000',
      TM_CONTROL_PLANE_ADDRESS: '127.0.0.1:0',
      TM_SHRINK_PERCENT: String(shrink.sharePercentMax),
      TM_SHRINK_ROUTES: String(shrink.routesMin),
    };
    return new ReplicaProcess(await startProcess('controlPlane', environment), environment, onDeath);
  }

  async kill(): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    await process?.[Symbol.asyncDispose]();
  }

  async restart(): Promise<void> {
    this.#run(await startProcess('controlPlane', { ...this.#environment, TM_CONTROL_PLANE_ADDRESS: this.address }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  #run(process: TestProcess): void {
    this.#process = process;
    void process.ended.then(({ code, signal, errors }) => {
      if (this.#process === process) this.#onDeath(`${code ?? signal} ${errors}`);
    });
  }
}

type FaultOptions = {
  readonly random: () => number;
  readonly seconds: number;
  readonly postgres: TestPostgres;
  readonly databaseUrl: string;
  readonly replicas: readonly ReplicaProcess[];
  readonly workload: Workload;
  readonly onFault: (what: string) => void;
};

/** Calls that succeed between two faults at least: else nothing would be there to be lost. */
const repliesBetween = 60;

/** One fault after the other, at times of the schedule's own; in the end everything runs. Answers with how many of each it made. */
async function makeFaults(options: FaultOptions): Promise<Record<string, number>> {
  const { random, seconds, postgres, databaseUrl, replicas, workload, onFault } = options;
  const made: Record<string, number> = {};
  const pause = async (from: number, to: number): Promise<void> => await delay(from + random() * (to - from));
  const faults = {
    'a replica is killed': async () => {
      const replica = pick(random, replicas);
      await replica.kill();
      await pause(0, 500);
      await replica.restart();
    },
    'both replicas are killed': async () => {
      await Promise.all(replicas.map(async (replica) => await replica.kill()));
      await Promise.all(replicas.map(async (replica) => await replica.restart()));
    },
    'Postgres is killed': async () => {
      await postgres.crash();
      await pause(0, 1_500);
      await postgres.start();
    },
    'Postgres is frozen': async () => {
      await postgres.freeze();
      await pause(100, 3_000);
      await postgres.thaw();
    },
    'connections are cut': async () => await cutConnections(databaseUrl),
  };
  const kinds = [
    ...(['a replica is killed', 'Postgres is killed', 'Postgres is frozen'] as const),
    ...(['connections are cut', 'connections are cut', 'both replicas are killed'] as const),
  ];
  const endsAt = performance.now() + seconds * 1_000;
  // The first six are one of each kind.
  for (let next = 0; next < kinds.length || performance.now() < endsAt; next++) {
    await workload.moreReplies(repliesBetween);
    await pause(0, 800);
    const kind = kinds[next] ?? pick(random, kinds);
    onFault(kind);
    made[kind] = (made[kind] ?? 0) + 1;
    await faults[kind]();
  }
  return made;
}

async function cutConnections(databaseUrl: string): Promise<void> {
  const client = new Postgres({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
    );
  } finally {
    await client.end();
  }
}

/** As soon as what the faults have left behind is cleared away. */
async function untilItServes(client: TrafficManagerClient): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      for (const tenant of tenants) await readLog(client, tenant);
      return;
    } catch (error) {
      if (!(error instanceof TrafficManagerError) || error.code !== 'UNAVAILABLE' || attempt >= 200) throw error;
      await delay(50);
    }
  }
}
