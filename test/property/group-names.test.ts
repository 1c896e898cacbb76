import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RouteKey } from '../../src/gen/trafficmanager/v1/route.ts';
import { GroupNames } from '../../src/wire/group-names.ts';

// Few letters, so that names are cut from the same texts at other places; many names, so that they share slots.
const text = fc.string({ unit: fc.constantFrom('a', 'b', '/', '-'), minLength: 1, maxLength: 4 });
const key = fc.record({ tenant: text, service: text, environment: text, version: fc.constantFrom('', 'v1') });

test('a group is never taken for another one, whichever was read before', () => {
  let remembered = 0;
  fc.assert(
    fc.property(fc.array(key, { minLength: 3_000, maxLength: 5_000 }), (keys) => {
      const names = new GroupNames();
      for (const { tenant, service, environment, version } of keys) {
        const bytes = Buffer.from(RouteKey.encode({ tenant, service, environment, version }).finish());
        const read = names.read(bytes, 0, bytes.length);
        expect(read).toEqual({ tenant, service, environment, name: `${tenant}/${service}/${environment}` });
        expect(names.end).toBe(bytes.length - (version === '' ? 0 : 2 + version.length));
        if (names.read(bytes, 0, bytes.length) === read) remembered++;
      }
    }),
    // Nobody reads an example of thousands of names, and making it smaller takes minutes.
    { numRuns: 20, seed: 3, endOnFailure: true },
  );
  // Else this would prove nothing.
  expect(remembered).toBeGreaterThan(20 * 3_000);
});

test('what is not spelled as encoders do is not read', () => {
  const names = new GroupNames();
  const whole = Buffer.from(
    RouteKey.encode({ tenant: 'acme', service: 'cart', environment: 'production', version: '' }).finish(),
  );
  expect(names.read(whole, 0, whole.length)?.name).toBe('acme/cart/production');
  for (let end = 0; end < whole.length; end++) expect(names.read(whole, 0, end)).toBeUndefined();
  const reversed = Buffer.concat([whole.subarray(6), whole.subarray(0, 6)]);
  expect(names.read(reversed, 0, reversed.length)).toBeUndefined();
  const bell = Buffer.from(whole).fill(7, 2, 3);
  expect(names.read(bell, 0, bell.length)).toBeUndefined();
});
