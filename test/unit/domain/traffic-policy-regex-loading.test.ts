import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { resolve } from '../../../src/domain/resolve.ts';
import type { TrafficPolicyValue } from '../../../src/domain/traffic-policy.ts';
import {
  attribute,
  exampleFullPolicy,
  exampleLookup,
  exampleRule,
  prefix,
  regex,
  viewWith,
} from '../../fakes/example-traffic-policy.ts';
import { faultsOf } from './traffic-policy-violations.ts';

// A file of its own: every test file is a process, and this is about what has been loaded in it.

const isLoaded = (): boolean =>
  Object.keys(createRequire(import.meta.url).cache).some((path) => path.includes('/re2js/'));

test('the regex engine is loaded by the first regex, and by nothing before', () => {
  const rules = [exampleRule({ attributes: [attribute('x', prefix('a'))], version: 'v2' })];
  const policy: TrafficPolicyValue = exampleFullPolicy({ rules });
  expect(faultsOf(policy)).toEqual([]);
  const lookup = exampleLookup({ attributes: { x: 'abc' } });
  const states = { v1: 'ACTIVE', v2: 'ACTIVE' } as const;
  expect(resolve(viewWith(states, policy).view, lookup, Math.random).matchRule).toBe('#0');
  expect(isLoaded()).toBe(false);

  const withRegex = { ...policy, rules: [exampleRule({ attributes: [attribute('x', regex('a+bc'))] }), ...rules] };
  expect(resolve(viewWith(states, withRegex).view, lookup, Math.random).matchRule).toBe('#0');
  expect(isLoaded()).toBe(true);
});
