import { describe, expect, test } from 'vitest';
import type { ChangeSignal } from '../../src/ports/configuration-store.ts';

/** The ends of some replicas. */
export type OpenedSignals = AsyncDisposable & { readonly signals: readonly [ChangeSignal, ChangeSignal] };

type Hint = readonly string[] | undefined;

/** What one end hears, to be waited for. */
export class Ear {
  readonly heard: Hint[] = [];
  #onHint: (() => void) | undefined;

  constructor(signal: ChangeSignal) {
    signal.subscribe((tenants) => {
      this.heard.push(tenants);
      this.#onHint?.();
    });
  }

  /** Tenants that were named in a hint. */
  get tenants(): ReadonlySet<string> {
    return new Set(this.heard.flatMap((hint) => hint ?? []));
  }

  /** Resolves when a condition holds of what was heard: looked at again with each hint. */
  async until(holds: (ear: this) => boolean): Promise<void> {
    while (!holds(this)) await new Promise<void>((resolve) => (this.#onHint = resolve));
  }
}

export function describeChangeSignal(name: string, open: () => Promise<OpenedSignals>): void {
  describe(`the change signal of ${name}`, () => {
    test('begins with a hint to look at all tenants, because earlier ones may have been lost', async () => {
      await using opened = await open();
      const ear = new Ear(opened.signals[0]);
      await ear.until(({ heard }) => heard.length > 0);
      expect(ear.heard[0]).toBeUndefined();
    });

    test('tells the other replicas which tenant has moved, and not the one that moved it', async () => {
      await using opened = await open();
      const ears = opened.signals.map((signal) => new Ear(signal));
      for (const ear of ears) await ear.until(({ heard }) => heard.includes(undefined));
      opened.signals[0].announce('acme');
      opened.signals[1].announce('globex');
      await ears[1]?.until(({ tenants }) => tenants.has('acme'));
      await ears[0]?.until(({ tenants }) => tenants.has('globex'));
      expect(ears.map((ear) => [...ear.tenants])).toEqual([['globex'], ['acme']]);
    });

    test('loses none of many that are announced at once', async () => {
      await using opened = await open();
      const ear = new Ear(opened.signals[1]);
      await ear.until(({ heard }) => heard.includes(undefined));
      const tenants = Array.from({ length: 450 }, (_, index) => `tenant-${index}-${'x'.repeat(40)}`);
      for (const tenant of tenants) opened.signals[0].announce(tenant);
      await ear.until((each) => each.tenants.size === tenants.length);
      expect(ear.tenants).toEqual(new Set(tenants));
    });
  });
}
