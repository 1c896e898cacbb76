import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { knownSettings, warnOfUnknownSettings } from '../../../src/platform/known-settings.ts';

function warningsOf(variables: NodeJS.ProcessEnv): unknown[] {
  const warnings: unknown[] = [];
  const warn = (...words: unknown[]): void => void warnings.push(words);
  warnOfUnknownSettings(variables, { warn });
  return warnings;
}

test('variables that look like ours and are none are named in one line, with what was meant, and without their values', () => {
  const variables = { TM_SIDECAR_TENANT: 'acme', TM_SIDECAR_TOKN: 'secret', TM_ENTIRELY_ELSE: '', PATH: '/bin' };
  const settings = [
    'TM_ENTIRELY_ELSE',
    'TM_SIDECAR_TENANT; did you mean "TM_SIDECAR_TENANTS"?',
    'TM_SIDECAR_TOKN; did you mean "TM_SIDECAR_TOKEN"?',
  ];
  expect(warningsOf(variables)).toEqual([[{ settings }, 'variables that no program here knows are ignored']]);
});

test('settings of either program are known to both', () => {
  expect(warningsOf({ TM_SIDECAR_TENANTS: '*', TM_NATS_URL: 'nats://a:1', TM_STATE_DIR: '/s', HOME: '/' })).toEqual([]);
});

test('what is known is what the README documents', () => {
  const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
  const rows = readme.split('\n').filter((line) => line.startsWith('| `TM_'));
  const documented = rows.flatMap((row) => (row.split(' | ')[0] ?? '').match(/TM_[A-Z_]+/g) ?? []);
  expect(documented.toSorted()).toEqual([...knownSettings].toSorted());
});
