/** `npm start`: the whole product with nothing else installed. Only what every Node can read is imported at the top. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Our sources use `await using`, which older ones cannot read. */
const oldestMajor = 24;

async function main(): Promise<number> {
  if (Number(process.versions.node.split('.')[0]) < oldestMajor) {
    process.stderr.write(
      `error: Node ${process.versions.node} is too old to run the sources: use "npm start", which brings Node ${oldestMajor} (npm install fetches it)\n`,
    );
    return 1;
  }
  const [
    { readConfiguration },
    { createInterrupts },
    { watchParent },
    { createProgress },
    { runEmbedded },
    { StartError },
  ] = await Promise.all([
    import('./configuration.ts'),
    import('./interrupts.ts'),
    import('./parent-watch.ts'),
    import('./progress.ts'),
    import('./run-embedded.ts'),
    import('./start-error.ts'),
  ]);
  const now = (): number => performance.now();
  const interrupts = createInterrupts(now);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupts.receive);
  const stop = (): void => {
    if (!interrupts.stop.aborted) interrupts.receive();
  };
  const isRunByNpm = process.env['npm_lifecycle_event'] !== undefined;
  if (isRunByNpm) watchParent({ readParentPid: () => process.ppid, onDeath: stop });
  const print = (text: string): void => void process.stdout.write(text);
  const printError = (text: string): void => void process.stderr.write(text);
  // Whoever read our lines may go (`npm start | head`); the product goes on.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  try {
    const configuration = readConfiguration({
      environment: process.env,
      projectDirectory: join(dirname(fileURLToPath(import.meta.url)), '..', '..'),
      workingDirectory: process.cwd(),
    });
    return await runEmbedded({
      configuration,
      interrupts,
      progress: createProgress({ write: print, now }),
      print,
      printError,
    });
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    printError(`error: ${error.message}\n`);
    return 1;
  }
}

process.exitCode = await main();
