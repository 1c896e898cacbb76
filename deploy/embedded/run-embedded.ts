import { once } from 'node:events';
import type { ApplyOptions, ApplyResult } from '../../src/cli/apply.ts';
import { Environment } from '../../src/platform/environment.ts';
import type { EmbeddedConfiguration } from './configuration.ts';
import type { Interrupts } from './interrupts.ts';
import { dialAddress, formatListenAddress, requireFreeAddress } from './listen-address.ts';
import { limits } from './limits.ts';
import { readLastLines } from './log-file.ts';
import {
  chooseSource,
  provideBroker,
  provideDatabase,
  startControlPlane,
  startSidecar,
  type Part,
  type PartContext,
  type Store,
} from './parts.ts';
import type { Progress } from './progress.ts';
import { findServerUser } from './run-as.ts';
import { describeExit, settlesWithin, type ServerExit } from './server-process.ts';
import { chooseSocketPath } from './socket-path.ts';
import { StartError } from './start-error.ts';
import { openStateDirectory } from './state-directory.ts';
import { describeProduct, type Lookup } from './summary.ts';

/** What a run is given. */
export interface RunOptions {
  readonly configuration: EmbeddedConfiguration;
  readonly interrupts: Interrupts;
  readonly progress: Progress;
  /** Takes the summary. */
  readonly print: (text: string) => void;
  /** Takes what went wrong. */
  readonly printError: (text: string) => void;
}

/** Why a run ended. */
type Ending =
  | { readonly kind: 'interrupted' }
  | { readonly kind: 'died'; readonly part: Part; readonly exit: ServerExit }
  | { readonly kind: 'failed'; readonly error: unknown };

/** The first reason to end; whatever comes after it is only a consequence. */
class Run {
  readonly #controller = new AbortController();
  #ending: Ending | undefined;

  /** Aborted by the end. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get ending(): Ending | undefined {
    return this.#ending;
  }

  end(ending: Ending): void {
    if (this.#ending !== undefined) return;
    this.#ending = ending;
    this.#controller.abort();
  }
}

/** Starts the product, waits until it is to end, stops it in reverse order; answers the exit code. */
export async function runEmbedded(options: RunOptions): Promise<number> {
  const run = new Run();
  const { interrupts, progress, printError } = options;
  const interrupt = (): void => run.end({ kind: 'interrupted' });
  interrupts.stop.addEventListener('abort', interrupt);
  if (interrupts.stop.aborted) interrupt();
  let code = 0;
  const stack = new AsyncDisposableStack();
  try {
    await start(options, { run, stack });
    options.print('Ctrl-C stops everything.\n');
    if (!run.signal.aborted) await once(run.signal, 'abort');
  } catch (error) {
    run.end({ kind: 'failed', error });
  }
  const { ending } = run;
  if (ending !== undefined && ending.kind !== 'interrupted') {
    code = 1;
    printError(await explain(ending));
  } else {
    progress('stopping');
  }
  try {
    await stack.disposeAsync();
  } catch (error) {
    code = 1;
    printError(await explain({ kind: 'failed', error }));
  }
  return interrupts.hardStop.aborted ? 130 : code;
}

interface RunScope {
  readonly run: Run;
  /** Takes whatever is started, to be stopped in reverse order. */
  readonly stack: AsyncDisposableStack;
}

async function start(options: RunOptions, scope: RunScope): Promise<void> {
  const { configuration, progress, interrupts } = options;
  const { run, stack } = scope;
  const serverUser = await findServerUser();
  const { workingDirectory, stateDirectory: requested } = configuration;
  const state = stack.use(await openStateDirectory({ requested, workingDirectory, serverUser }));
  await requireFreeAddress(configuration.controlPlane, 'TM_CONTROL_PLANE_ADDRESS');
  if (configuration.sidecar !== undefined) await requireFreeAddress(configuration.sidecar, 'TM_SIDECAR_ADDRESS');
  const socket = await chooseSocketPath({ requested: configuration.sidecarSocket, stateDirectory: state.path });
  progress(`keeping state in ${state.path}`);
  if (socket.shortened) {
    progress(`the sidecar's socket goes to ${socket.path}: the state directory's path is too long for one`);
  }
  // Loads while Postgres starts.
  const loading = loadClients();
  loading.catch(() => undefined);
  const context = { configuration, state, progress, signal: run.signal, hardStop: interrupts.hardStop };
  const { database, broker } = await provideStores(context, scope);
  const controlPlane = await startControlPlane(context, { database, broker });
  keep(controlPlane, scope, progress);
  const source = chooseSource(context, broker);
  const sidecar = await startSidecar(context, { socket: socket.path, source });
  keep(sidecar, scope, progress);
  run.signal.throwIfAborted();
  const lookup = await unlessPartDies(run, async () => await showItWorks(context, { loading, socket: socket.path }));
  options.print(describeProduct({ configuration, state, socket: socket.path, source, database, broker, lookup }));
}

interface ShowOptions {
  readonly loading: Promise<Clients>;
  readonly socket: string;
}

/** Applies the example and looks something of it up; undefined when the sidecar is not to know any of it. */
async function showItWorks(context: PartContext, options: ShowOptions): Promise<Lookup | undefined> {
  const { configuration, progress, signal } = context;
  const { exampleFile: file, sidecarTenants } = configuration;
  const clients = await options.loading;
  const address = formatListenAddress(dialAddress(configuration.controlPlane));
  const applied = await applyExample(clients, {
    file,
    address,
    actor: 'npm start',
    token: new Environment(configuration.environment).optional('TM_ADMIN_TOKEN'),
    signal,
  });
  progress(`applied ${file}: ${applied.changes} changed, ${applied.unchanged} already there`);
  signal.throwIfAborted();
  const key = await clients.chooseLookup(file);
  const isServed = sidecarTenants.split(',').some((tenant) => tenant.trim() === '*' || tenant.trim() === key?.tenant);
  if (key === undefined || !isServed) return undefined;
  const lookup = await clients.lookUp({ key, target: `unix:${options.socket}`, signal });
  progress('the sidecar answered the first lookup');
  return { key, ...lookup };
}

/** A part that dies is first seen as a call to it that fails: its death is the reason to tell, so it gets a moment to show. */
async function unlessPartDies<Result>(run: Run, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (!run.signal.aborted) await settlesWithin(once(run.signal, 'abort'), limits.deathNoticeMs);
    run.signal.throwIfAborted();
    throw error;
  }
}

/** The parts that need gRPC and YAML, which take a while to load. */
async function loadClients() {
  const [{ applyFile }, { errorLines }, { chooseLookup, lookUp }] = await Promise.all([
    import('../../src/cli/apply.ts'),
    import('../../src/cli/error-lines.ts'),
    import('./first-lookup.ts'),
  ]);
  return { applyFile, errorLines, chooseLookup, lookUp };
}

type Clients = Awaited<ReturnType<typeof loadClients>>;

async function applyExample(clients: Clients, options: ApplyOptions): Promise<ApplyResult> {
  try {
    return await clients.applyFile(options);
  } catch (error) {
    options.signal?.throwIfAborted();
    const reason = clients
      .errorLines(error)
      .join('\n')
      .replace(/^error: /, '');
    throw new StartError(`the example was not applied: ${reason}`, { cause: error });
  }
}

/** Postgres and NATS at the same time. One that fails takes the other with it. */
async function provideStores(
  context: PartContext,
  scope: RunScope,
): Promise<{ database: Store; broker: Store | undefined }> {
  const failed = new AbortController();
  const signal = AbortSignal.any([context.signal, failed.signal]);
  let failure: { readonly error: unknown } | undefined;
  const provide = async <Provided extends Store | undefined>(
    start: (context: PartContext) => Promise<Provided>,
  ): Promise<Provided | undefined> => {
    try {
      return await start({ ...context, signal });
    } catch (error) {
      failure ??= { error };
      failed.abort();
      return undefined;
    }
  };
  const [database, broker] = await Promise.all([provide(provideDatabase), provide(provideBroker)]);
  for (const store of [database, broker]) if (store?.part !== undefined) keep(store.part, scope, context.progress);
  if (failure !== undefined) throw failure.error;
  if (database === undefined) throw new Error('a database is provided or its failure is known');
  return { database, broker };
}

/** Stops the part at the end, and ends the run if the part does not last until then. */
function keep(part: Part, scope: RunScope, progress: Progress): void {
  scope.stack.defer(async () => {
    const { ending } = scope.run;
    // Its death is why we stop; that has been told.
    if (ending?.kind === 'died' && ending.part === part) return;
    await part.stop();
    progress(`stopped: ${part.name}`);
  });
  void part.exited.then((exit) => {
    scope.run.end({ kind: 'died', part, exit });
  });
}

async function explain(ending: Exclude<Ending, { kind: 'interrupted' }>): Promise<string> {
  if (ending.kind === 'died') {
    const { part, exit } = ending;
    const lines = await readLastLines(part.logFile);
    const head = `error: ${part.name} ended unexpectedly (${describeExit(exit)}); the end of ${part.logFile}:`;
    return [head, ...lines.map((line) => `  ${line}`), ''].join('\n');
  }
  const { error } = ending;
  if (error instanceof StartError) return `error: ${error.message}\n`;
  // A bug of ours: its stack is what helps.
  return `error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`;
}
