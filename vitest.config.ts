import { defineConfig } from 'vitest/config';
import type { TestProjectInlineConfiguration } from 'vitest/config';
import { SummaryReporter } from './test/support/summary-reporter.ts';

interface Project {
  /** Projects of one group run together; a group waits for the one before. */
  readonly group: number;
  /** Whether its tests use the Postgres that the run starts. */
  readonly usesPostgres: boolean;
  /** Files at the same time. One, where processes are started and times are measured: CI has two cores. */
  readonly workersMax: number;
  readonly testTimeoutMs: number;
}

const projects: Readonly<Record<string, Project>> = {
  unit: { group: 1, usesPostgres: false, workersMax: 2, testTimeoutMs: 5_000 },
  property: { group: 1, usesPostgres: false, workersMax: 2, testTimeoutMs: 30_000 },
  architecture: { group: 1, usesPostgres: false, workersMax: 2, testTimeoutMs: 60_000 },
  contract: { group: 2, usesPostgres: true, workersMax: 2, testTimeoutMs: 60_000 },
  integration: { group: 2, usesPostgres: true, workersMax: 2, testTimeoutMs: 60_000 },
  e2e: { group: 3, usesPostgres: true, workersMax: 1, testTimeoutMs: 60_000 },
  fault: { group: 3, usesPostgres: true, workersMax: 1, testTimeoutMs: 120_000 },
};

export default defineConfig({
  test: {
    reporters: ['default', new SummaryReporter()],
    // For the whole run, not for each project: one Postgres instead of four.
    globalSetup: needsPostgres(process.argv) ? ['./test/support/global-setup.ts'] : [],
    projects: Object.entries(projects).map(([name, project]): TestProjectInlineConfiguration => ({
      extends: true,
      test: {
        name,
        include: [`test/${name}/**/*.test.ts`],
        exclude: ['**/fixtures/**'],
        // Processes, because a native crash or a leaked handle then costs one file.
        pool: 'forks',
        maxWorkers: project.workersMax,
        sequence: { groupOrder: project.group },
        testTimeout: project.testTimeoutMs,
        hookTimeout: project.testTimeoutMs,
        // A test that fails now and then has found something.
        retry: 0,
        restoreMocks: true,
      },
    })),
  },
});

/** False when the command line asks for projects by name (`--project unit`), and none of them uses Postgres. */
function needsPostgres(args: readonly string[]): boolean {
  const asked = args.flatMap((arg, index) => {
    if (arg === '--project') return args[index + 1] ?? [];
    return arg.startsWith('--project=') ? arg.slice('--project='.length) : [];
  });
  return asked.length === 0 || asked.some((name) => projects[name]?.usesPostgres ?? true);
}
