import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const repository = resolve(import.meta.dirname, '../..');
const fixtures = resolve(import.meta.dirname, 'fixtures/lint');

/** Each file under fixtures/lint, and the rules that must fire on it: exactly these. */
const expected: Record<string, readonly string[]> = {
  'src/app/clean.ts': [],
  'src/platform/clock.ts': [],
  'src/cli/print.ts': [],
  'src/app/floating-promise.ts': ['typescript(no-floating-promises)'],
  'src/app/misused-promise.ts': ['typescript(no-misused-promises)'],
  'src/app/misused-callback.ts': ['typescript(no-misused-promises)'],
  'src/app/awaited-non-promise.ts': ['typescript(await-thenable)', 'typescript(return-await)'],
  'src/app/unawaited-in-try.ts': ['typescript(return-await)'],
  'src/app/missing-case.ts': ['typescript(switch-exhaustiveness-check)'],
  'src/app/missing-variant.ts': ['typescript(switch-exhaustiveness-check)'],
  'src/app/cycle-one.ts': ['import(no-cycle)'],
  'src/app/cycle-two.ts': ['import(no-cycle)'],
  'src/app/explicit-any.ts': ['typescript(no-explicit-any)'],
  'src/app/hidden-any.ts': ['typescript(no-unsafe-assignment)'],
  'src/app/non-null.ts': ['typescript(no-non-null-assertion)'],
  'src/app/default-export.ts': ['import(no-default-export)'],
  'src/app/value-import-of-type.ts': ['typescript(consistent-type-imports)'],
  'src/app/javascript-import.ts': ['eslint(no-restricted-imports)'],
  'src/app/console.ts': ['eslint(no-console)'],
  'src/app/environment.ts': ['node(no-process-env)'],
  'src/app/exit.ts': ['unicorn(no-process-exit)'],
  'src/app/loose-equality.ts': ['eslint(eqeqeq)'],
  'src/app/never-reassigned.ts': ['eslint(prefer-const)'],
  'src/app/lost-zero.ts': ['typescript(prefer-nullish-coalescing)'],
  'src/app/lost-cause.ts': ['eslint(preserve-caught-error)'],
  'src/app/thrown-text.ts': ['typescript(only-throw-error)'],
  'src/app/real-clock.ts': ['eslint(no-restricted-properties)'],
  'src/app/real-timer.ts': ['eslint(no-restricted-globals)'],
  'src/app/real-sleep.ts': ['eslint(no-restricted-imports)'],
  'src/app/real-random.ts': ['eslint(no-restricted-properties)'],
  'src/app/real-id.ts': ['eslint(no-restricted-imports)'],
  'src/app/long-function.ts': ['eslint(max-lines-per-function)'],
  'src/app/long-file.ts': ['eslint(max-lines)'],
  'src/app/many-parameters.ts': ['eslint(max-params)'],
  'src/app/camelCase.ts': ['unicorn(filename-case)'],
  'src/app/silenced.ts': ['unicorn(no-abusive-eslint-disable)', 'unused-directive'],
  'src/app/stale-suppression.ts': ['unused-directive'],
  'src/app/ignored-error.ts': ['typescript(ban-ts-comment)'],
  'test/unit/sleep.test.ts': ['eslint(no-restricted-globals)'],
  'test/unit/focused.test.ts': ['vitest(no-focused-tests)'],
  'test/unit/disabled.test.ts': ['vitest(no-disabled-tests)'],
  'test/unit/no-assertion.test.ts': ['vitest(expect-expect)'],
  'test/unit/mocked-module.test.ts': ['vitest(no-restricted-vi-methods)'],
  'test/unit/unawaited-assertion.test.ts': ['typescript(no-floating-promises)', 'vitest(valid-expect)'],
};

interface Diagnostic {
  readonly code?: string;
  readonly message: string;
  readonly help?: string;
  readonly filename: string;
}

describe('oxlint with the configuration of the repository', () => {
  let root: string;
  let diagnostics: readonly Diagnostic[];

  // The fixtures become a repository of their own: the same paths, so that the same overrides apply, and outside of what
  // the configuration ignores.
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'tm-lint-'));
    await cp(fixtures, root, { recursive: true });
    await cp(join(repository, '.oxlintrc.json'), join(root, '.oxlintrc.json'));
    await cp(join(repository, 'tsconfig.json'), join(root, 'tsconfig.json'));
    await cp(join(repository, 'package.json'), join(root, 'package.json'));
    await symlink(join(repository, 'node_modules'), join(root, 'node_modules'));
    diagnostics = await lint(root);
  });
  afterAll(async () => {
    await rm(root, { recursive: true });
  });

  it.each(Object.entries(expected))('%s', (file, rules) => {
    const found = diagnostics.filter((each) => each.filename === file);
    expect([...new Set(found.map(ruleOf))].toSorted()).toEqual(rules);
  });

  it('lints every fixture', async () => {
    const files = await readdir(fixtures, { recursive: true });
    expect(files.filter((file) => file.endsWith('.ts')).toSorted()).toEqual(Object.keys(expected).toSorted());
  });

  it.each([
    ['src/app/real-clock.ts', 'Take a clock as an argument'],
    ['src/app/real-timer.ts', 'Take a clock as an argument'],
    ['src/app/real-random.ts', 'Take the source of randomness'],
    ['src/app/real-id.ts', 'Take the source of ids'],
    ['src/app/javascript-import.ts', 'import the .ts file'],
    ['test/unit/sleep.test.ts', 'advance the fake clock'],
    ['test/unit/mocked-module.test.ts', 'pass a fake'],
  ])('%s: the message names the replacement', (file, replacement) => {
    const found = diagnostics.find((each) => each.filename === file);
    expect(`${found?.message} ${found?.help ?? ''}`).toContain(replacement);
  });
});

async function lint(root: string): Promise<readonly Diagnostic[]> {
  const output = await new Promise<string>((done, fail) => {
    const binary = join(repository, 'node_modules/.bin/oxlint');
    // Named folders: it would walk the linked node_modules.
    execFile(
      binary,
      ['--format=json', 'src', 'test'],
      { cwd: root, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        // 1: it found breaches, as it must here.
        if (error?.code === 1) done(stdout);
        else fail(new Error(`oxlint ended with ${String(error?.code ?? 0)}: ${stderr}${stdout}`, { cause: error }));
      },
    );
  });
  return (JSON.parse(output) as { diagnostics: Diagnostic[] }).diagnostics;
}

function ruleOf(diagnostic: Diagnostic): string {
  return diagnostic.code ?? (diagnostic.message.startsWith('Unused') ? 'unused-directive' : diagnostic.message);
}
