import { expect, it } from 'vitest';
import { GenerationCache } from '../../../src/platform/generation-cache.ts';

const cacheOf = (bytesMax: number) => new GenerationCache<string, number>({ bytesMax, bytesOf: (value) => value });

it('makes a value once as long as it is used', () => {
  const cache = cacheOf(100_000);
  let made = 0;
  const make = (): number => {
    made++;
    return 1_000;
  };
  for (let index = 0; index < 500; index++) {
    cache.getOrMake('hot', make);
    cache.set(`cold ${index}`, 1_000);
  }
  expect(made).toBe(1);
  expect(cache.get('cold 0')).toBeUndefined();
});

it('holds no more than its bound', () => {
  const cache = cacheOf(100_000);
  for (let index = 0; index < 10_000; index++) cache.set(`${index}`, 900);
  const held = Array.from({ length: 10_000 }, (_, index) => cache.get(`${index}`) ?? 0).filter((bytes) => bytes > 0);
  expect(held.length * 1_000).toBeLessThanOrEqual(100_000);
  expect(held.length).toBeGreaterThan(40);
});

it('counts a value that is set again once', () => {
  const cache = cacheOf(100_000);
  cache.set('other', 1_000);
  for (let index = 0; index < 1_000; index++) cache.set('same', 1_000);
  expect(cache.get('other')).toBe(1_000);
});

it('does not hold what is larger than half of the bound', () => {
  const cache = cacheOf(100_000);
  expect(cache.getOrMake('large', () => 60_000)).toBe(60_000);
  expect(cache.get('large')).toBeUndefined();
});
