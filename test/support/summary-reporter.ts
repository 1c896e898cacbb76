import type { Reporter, SerializedError, TestModule, TestRunEndReason, TestSpecification } from 'vitest/node';

/**
 * Closes a run with one plain line, `N passed, N failed`, and `, N skipped` when there are any: CI reads no other
 * output of vitest. What fails outside of a test counts as failed too (a file that does not load or never ran, a hook,
 * a setup, an unhandled rejection), so that a run which fails never says 0 failed.
 */
export class SummaryReporter implements Reporter {
  readonly #write: (line: string) => void;
  #filesStarted = 0;

  constructor(write: (line: string) => void = console.log) {
    this.#write = write;
  }

  onTestRunStart(specifications: readonly TestSpecification[]): void {
    this.#filesStarted = specifications.length;
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[], reason: TestRunEndReason): void {
    const filesThatNeverRan = Math.max(0, this.#filesStarted - modules.length);
    const counts = { passed: 0, failed: errors.length + filesThatNeverRan, skipped: 0 };
    for (const module of modules) {
      counts.failed += module.errors().length;
      for (const suite of module.children.allSuites()) counts.failed += suite.errors().length;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        // Pending: interrupted before it ran, which is no success.
        if (state === 'pending') counts.failed += 1;
        else counts[state] += 1;
      }
    }
    if (reason !== 'passed' && counts.failed === 0) counts.failed = 1;
    const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
    this.#write(`\n${counts.passed} passed, ${counts.failed} failed${skipped}`);
  }
}
