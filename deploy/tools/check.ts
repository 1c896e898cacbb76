import { findBaseline, findBreaks } from './breaking-changes.ts';
import { findStaleCode } from './generated-code.ts';
import { findAddresses, readLockfile } from './lockfile.ts';
import { runCommand } from './run-command.ts';

// npm run check: everything that can be said about the code without running it. `npm run fix` repairs format and lint.

type Outcome = { readonly passed: true; readonly note?: string } | { readonly passed: false; readonly output: string };

interface Check {
  readonly name: string;
  run(): Promise<Outcome>;
}

/** As many as the smallest machine of ours has cores. More only makes each of them slower. */
const concurrencyMax = 2;

// The longest first, so that none of them runs alone at the end.
const checks: readonly Check[] = [
  { name: 'generated code', run: checkGeneratedCode },
  tool('types', ['tsc', '--project', 'tsconfig.json']),
  tool('dead code', ['knip', '--no-progress']),
  tool('lint', ['oxlint', '--type-aware', '--deny-warnings']),
  { name: 'lockfile', run: checkLockfile },
  { name: 'proto breaks', run: checkBreaks },
  tool('proto lint', ['buf', 'lint']),
  tool('proto format', ['buf', 'format', '--diff', '--exit-code']),
  tool('format', ['oxfmt', '--check']),
];

function tool(name: string, command: readonly [string, ...string[]]): Check {
  return {
    name,
    async run() {
      const { code, output } = await runCommand(command);
      return code === 0 ? { passed: true } : { passed: false, output: `${command.join(' ')}\n${output}` };
    },
  };
}

async function checkGeneratedCode(): Promise<Outcome> {
  const stale = await findStaleCode();
  if (stale.length === 0) return { passed: true };
  return { passed: false, output: `src/gen is not what proto/ generates: npm run generate\n${stale.join('\n')}\n` };
}

/** Whether a fresh clone installs: npm compares, without a network, what package.json asks for with what is locked. */
async function checkLockfile(): Promise<Outcome> {
  const addresses = findAddresses(await readLockfile());
  if (addresses.length > 0) {
    return { passed: false, output: `package-lock.json names a registry: ${addresses.join(', ')}\n` };
  }
  const { code, output } = await runCommand(['npm', 'ci', '--dry-run', '--ignore-scripts', '--offline']);
  if (code === 0) return { passed: true };
  return { passed: false, output: `npm install, then npm run lockfile\n${output}` };
}

async function checkBreaks(): Promise<Outcome> {
  const baseline = await findBaseline();
  if (baseline.kind === 'none') return { passed: true, note: `not compared: ${baseline.reason}` };
  const breaks = await findBreaks(baseline.reference);
  if (breaks === '') return { passed: true, note: `none since ${baseline.reference}` };
  if (baseline.kind === 'release') return { passed: false, output: `since release ${baseline.reference}:\n${breaks}` };
  return { passed: true, note: `allowed before the first release, since ${baseline.reference}:\n${breaks.trimEnd()}` };
}

async function runCheck(check: Check): Promise<boolean> {
  const start = performance.now();
  const outcome = await check.run().catch((error: unknown): Outcome => ({ passed: false, output: String(error) }));
  const seconds = ((performance.now() - start) / 1_000).toFixed(1).padStart(5);
  const note = outcome.passed && outcome.note !== undefined ? `  (${outcome.note})` : '';
  console.log(`${outcome.passed ? 'ok    ' : 'FAILED'} ${seconds} s  ${check.name}${note}`);
  if (!outcome.passed) console.log(`\n${outcome.output}`);
  return outcome.passed;
}

async function runAll(): Promise<boolean> {
  const waiting = [...checks];
  let failed = 0;
  const worker = async (): Promise<void> => {
    for (let check = waiting.shift(); check !== undefined; check = waiting.shift()) {
      if (!(await runCheck(check))) failed += 1;
    }
  };
  await Promise.all(Array.from({ length: concurrencyMax }, worker));
  console.log(failed === 0 ? `\n${checks.length} checks passed` : `\n${failed} of ${checks.length} checks failed`);
  return failed === 0;
}

process.exitCode = (await runAll()) ? 0 : 1;
