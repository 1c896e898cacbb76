import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sidecarLimits } from '../../../sidecar/limits.ts';
import { LookupUsage, type Counted, type VersionLookups } from '../../../sidecar/usage/lookup-usage.ts';

const key = { tenant: 'acme', service: 'cart', environment: 'production' };
const { versionsMax, versionsPerTenantMax, versionsPerGroupMax, tenantsMax } = sidecarLimits.usage;

function newGroup(): Counted {
  return { usage: undefined };
}

function totalOf(versions: readonly VersionLookups[]): number {
  return versions.reduce((sum, { lookups }) => sum + lookups, 0);
}

describe('usage', () => {
  test('is told once, by version, and counted anew from then on', () => {
    const usage = new LookupUsage();
    const group = newGroup();
    for (let lookups = 0; lookups < 3; lookups++) usage.count(key, 'v1', group);
    usage.count(key, 'v2', group);
    expect(usage.take()).toEqual({
      versions: [
        { ...key, version: 'v2', lookups: 1 },
        { ...key, version: 'v1', lookups: 3 },
      ],
      untold: 0,
    });
    expect(usage.take().versions).toEqual([]);
    usage.count(key, 'v1', group);
    expect(usage.take().versions).toEqual([{ ...key, version: 'v1', lookups: 1 }]);
  });

  test('equals the lookups, from memory or not, whatever groups are replaced and whenever it is taken', () => {
    const step = fc.record({
      does: fc.constantFrom('look up', 'look up', 'look up', 'ask', 'replace', 'take'),
      service: fc.constantFrom('cart', 'search'),
      version: fc.constantFrom('v1', 'v2', 'v3'),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const usage = new LookupUsage();
        const groups = new Map<string, Counted>();
        const counted = new Map<string, number>();
        const expected = new Map<string, number>();
        const add = (to: Map<string, number>, name: string, lookups: number): void =>
          void to.set(name, (to.get(name) ?? 0) + lookups);
        const take = (): void => {
          for (const { service, version, lookups } of usage.take().versions)
            add(counted, `${service}/${version}`, lookups);
        };
        for (const { does, service, version } of steps) {
          if (does === 'take') take();
          if (does === 'replace') groups.delete(service);
          if (does !== 'look up' && does !== 'ask') continue;
          const group = groups.get(service) ?? newGroup();
          groups.set(service, group);
          usage.count({ ...key, service }, version, does === 'ask' ? undefined : group);
          // Also a group that took the place of another has its counts at hand from its first lookup on.
          if (does === 'look up') expect(group.usage).toBeDefined();
          add(expected, `${service}/${version}`, 1);
        }
        take();
        expect(counted).toEqual(expected);
      }),
    );
  });

  test('of more versions of a tenant than are told apart is told together, and takes no room from other tenants', () => {
    const usage = new LookupUsage();
    for (let version = 0; version < versionsPerTenantMax + 7; version++)
      usage.count({ ...key, service: `service-${version % 50}` }, `v${version}`, newGroup());
    // Those that are told apart go on being so.
    usage.count({ ...key, service: 'service-0' }, 'v0');
    usage.count({ ...key, tenant: 'globex' }, 'v1');
    const { versions, untold } = usage.take();
    expect(untold).toBe(0);
    expect(versions).toHaveLength(versionsPerTenantMax + 2);
    expect(versions).toContainEqual({ ...key, service: 'service-0', version: 'v0', lookups: 2 });
    expect(versions).toContainEqual({ ...key, tenant: 'globex', version: 'v1', lookups: 1 });
    expect(versions).toContainEqual({ tenant: 'acme', service: '', environment: '', version: '', lookups: 7 });
    // There is room again.
    usage.count(key, 'w');
    expect(usage.take().versions).toEqual([{ ...key, version: 'w', lookups: 1 }]);
  });

  test('of more versions of a service than are told apart is told together too', () => {
    const usage = new LookupUsage();
    const group = newGroup();
    for (let version = 0; version < versionsPerGroupMax + 2; version++) usage.count(key, `v${version}`, group);
    usage.count({ ...key, service: 'search' }, 'v1');
    const { versions } = usage.take();
    expect(versions).toHaveLength(versionsPerGroupMax + 2);
    expect(versions).toContainEqual({ tenant: 'acme', service: '', environment: '', version: '', lookups: 2 });
    expect(group.usage).toBeUndefined();
  });

  test('has a bound over all tenants, and what is too much for it is still counted', () => {
    const usage = new LookupUsage();
    const lookups = 3 * (tenantsMax + 5);
    for (let lookup = 0; lookup < lookups; lookup++)
      usage.count({ ...key, tenant: `tenant-${lookup % (tenantsMax + 5)}` }, `v${lookup}`);
    const { versions, untold } = usage.take();
    expect(versions.length).toBeLessThanOrEqual(versionsMax + tenantsMax);
    expect(untold).toBe(15);
    expect(totalOf(versions) + untold).toBe(lookups);
    for (let version = 0; version < versionsMax + 100; version++)
      usage.count({ ...key, tenant: `tenant-${version % 4}`, service: `service-${version % 100}` }, `v${version}`);
    const full = usage.take().versions;
    expect(full.filter(({ version }) => version !== '')).toHaveLength(versionsMax);
    expect(totalOf(full)).toBe(versionsMax + 100);
  });
});
