import { describe, expect, test } from 'vitest';
import { digest64 } from '../../../src/domain/digest.ts';
import { Violations } from '../../../src/domain/validation.ts';
import { decodePageToken, encodePageToken, pageSize } from '../../../src/inbound/grpc/page-token.ts';

const question = [{ tenant: 'acme', service: '', states: ['ACTIVE'] }];

function decode(token: string, asked: readonly unknown[] = question, parts = 3): string[] | undefined | 'refused' {
  const violations = new Violations();
  const after = decodePageToken(violations, token, { question: asked, parts });
  return violations.isEmpty ? after : 'refused';
}

const token = encodePageToken(question, ['cart', 'production', 'RC.1']);
const forged = (...parts: unknown[]) => Buffer.from(JSON.stringify(parts)).toString('base64url');

describe('a page token', () => {
  test('says where the page before ended', () => {
    expect(decode(token)).toEqual(['cart', 'production', 'RC.1']);
  });

  test('is not needed for the first page', () => {
    expect(decode('')).toBeUndefined();
  });

  test('needs no escaping in a URL', () => {
    expect(encodePageToken(question, ['a', 'b-c', 'RC.1'])).toMatch(/^[-A-Za-z0-9_]+$/);
  });

  test.for([
    ['another tenant', [{ tenant: 'other', service: '', states: ['ACTIVE'] }]],
    ['another filter', [{ tenant: 'acme', service: 'cart', states: ['ACTIVE'] }]],
    ['other states', [{ tenant: 'acme', service: '', states: ['ACTIVE', 'DELETED'] }]],
  ] as const)('is refused for %s than it was made for', ([, asked]) => {
    expect(decode(token, asked)).toBe('refused');
  });

  test.for([
    ['random text', 'not-a-token'],
    ['an empty list', forged()],
    ['too few parts', forged(digest64(JSON.stringify(question)), 'cart')],
    ['too many parts', forged(digest64(JSON.stringify(question)), 'a', 'b', 'c', 'd')],
    ['parts that are no texts', forged(digest64(JSON.stringify(question)), 1, null, {})],
    ['a text that no database takes', forged(digest64(JSON.stringify(question)), 'a', 'b\u0000', 'c')],
    ['half a character', forged(digest64(JSON.stringify(question)), 'a', 'b', '\uD800')],
    ['an object', Buffer.from('{"length":4}').toString('base64url')],
    ['half a token', token.slice(0, token.length / 2)],
    ['a megabyte', 'A'.repeat(1_000_000)],
  ] as const)('is refused when it is %s', ([, wrong]) => {
    expect(decode(wrong)).toBe('refused');
  });
});

describe('a page size', () => {
  test.for([
    [0, 100],
    [1, 1],
    [1_000, 1_000],
    [1_001, 1_000],
    [2_147_483_647, 1_000],
  ] as const)('of %i means %i', ([asked, means]) => {
    const violations = new Violations();
    expect(pageSize(violations, asked)).toBe(means);
    expect(violations.isEmpty).toBe(true);
  });

  test('below 0 is refused', () => {
    const violations = new Violations();
    pageSize(violations, -1);
    expect(violations.isEmpty).toBe(false);
  });
});
