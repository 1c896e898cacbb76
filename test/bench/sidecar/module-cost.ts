import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** What loading a module with all that it imports takes, of a process that had loaded nothing. */
export type ModuleCost = {
  readonly loadMs: number;
  readonly cpuMs: number;
  /** Of resident memory. */
  readonly megabytes: number;
  readonly files: number;
  /** The packages among them. */
  readonly packages: readonly string[];
};

// Loads what it is told and says what that cost: a name of a package, or a path from the root of the repository.
const [specifier = ''] = process.argv.slice(2);
const loaded: string[] = [];
registerHooks({
  load: (url, context, next) => {
    if (url.startsWith('file:')) loaded.push(url);
    return next(url, context);
  },
});
const before = { ms: performance.now(), cpu: process.cpuUsage(), rss: process.memoryUsage.rss() };
await import(specifier.startsWith('./') ? pathToFileURL(join(process.cwd(), specifier)).href : specifier);
const { user, system } = process.cpuUsage(before.cpu);
const packages = loaded.flatMap((url) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? []);
const cost: ModuleCost = {
  loadMs: performance.now() - before.ms,
  cpuMs: (user + system) / 1_000,
  megabytes: (process.memoryUsage.rss() - before.rss) / 1024 / 1024,
  files: loaded.length,
  packages: [...new Set(packages)],
};
console.log(JSON.stringify(cost));
process.exit(0);
