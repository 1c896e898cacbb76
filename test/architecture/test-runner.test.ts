import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runCommand } from '../../deploy/tools/run-command.ts';
import configuration from '../../vitest.config.ts';

const fixtures = join(import.meta.dirname, 'fixtures/runner');

describe('the closing line of a run', () => {
  it.each([
    ['passes', 0, '1 passed, 0 failed'],
    ['mixed', 1, '2 passed, 1 failed, 1 skipped'],
    ['unhandled-rejection', 1, '1 passed, 1 failed'],
    ['does-not-load', 1, '1 passed, 1 failed'],
    ['failing-hook', 1, '0 passed, 1 failed, 1 skipped'],
    ['failing-setup', 1, '0 passed, 1 failed'],
    ['no-tests', 1, '0 passed, 1 failed'],
  ])('%s: exit code %i, %s', async (fixture, code, line) => {
    const result = await runCommand(['vitest', 'run', '--root', '.', '--config', '../vitest.config.ts'], {
      cwd: join(fixtures, fixture),
    });
    expect(result.output.split('\n').filter((each) => /^\d+ passed, \d+ failed/.test(each))).toEqual([line]);
    expect(result.code).toBe(code);
  });
});

describe('the configuration of the repository', () => {
  it('has a project per kind of test, without retries', () => {
    const projects = configuration.test?.projects ?? [];
    const names = projects.map((project) => {
      if (typeof project !== 'object' || !('test' in project)) throw new Error('a project is not inline');
      expect(project.test?.retry).toBe(0);
      return project.test?.name;
    });
    expect(names.map(String).toSorted()).toEqual([
      'architecture',
      'contract',
      'e2e',
      'fault',
      'integration',
      'property',
      'unit',
    ]);
    expect(configuration.test?.dangerouslyIgnoreUnhandledErrors).toBeUndefined();
  });
});
