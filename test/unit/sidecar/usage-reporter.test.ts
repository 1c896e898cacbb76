import { describe, expect, test } from 'vitest';
import { sidecarLimits } from '../../../sidecar/limits.ts';
import { LookupUsage } from '../../../sidecar/usage/lookup-usage.ts';
import { UsageReporter, type SendUsage, type UsageReport } from '../../../sidecar/usage/usage-reporter.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

const key = { tenant: 'acme', service: 'cart', environment: 'production' };

/** A control plane that adds each report once, and whose answers get lost as the test has it. */
class ScriptedReceiver {
  conduct: 'answers' | 'is away' | 'loses the answer' | 'refuses' | 'hangs' = 'answers';
  readonly sent: UsageReport[] = [];
  readonly timeouts: number[] = [];
  added = 0;
  /** Resolves when a report hangs. */
  readonly hanging = Promise.withResolvers<void>();
  #last = 0;

  readonly send: SendUsage = async (report, { timeoutMs, signal }) => {
    this.sent.push(report);
    this.timeouts.push(timeoutMs);
    if (this.conduct === 'is away') throw new Error('away');
    if (this.conduct === 'refuses') return 'refused';
    if (report.sequence > this.#last) {
      this.#last = report.sequence;
      for (const { lookups } of report.versions) this.added += lookups;
    }
    if (this.conduct === 'loses the answer') throw new Error('lost');
    if (this.conduct === 'hangs') {
      this.hanging.resolve();
      await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(new Error('cancelled'))));
    }
    return 'added';
  };
}

function start({ intervalMs = 1_000 } = {}) {
  const clock = new FakeClock();
  const usage = new LookupUsage();
  const receiver = new ScriptedReceiver();
  const reporter = new UsageReporter({
    usage,
    send: receiver.send,
    sidecarId: 'sidecar-1',
    intervalMs,
    clock,
    random: () => 0.25,
    logger: createLogger('sidecar', 'silent'),
  }).start();
  const nextReport = async (): Promise<void> => {
    await clock.untilSomebodySleeps();
    clock.advance(0.75 * intervalMs);
    await clock.untilSomebodySleeps();
  };
  const count = (version: string, lookups = 1, service = key.service): void => {
    for (let lookup = 0; lookup < lookups; lookup++) usage.count({ ...key, service }, version);
  };
  return { clock, receiver, reporter, nextReport, count };
}

describe('usage reports', () => {
  test('go out after an interval with its jitter, only when there was a lookup', async () => {
    const { clock, receiver, reporter, nextReport, count } = start();
    await nextReport();
    expect(receiver.sent).toEqual([]);
    count('v1', 2);
    clock.advance(749);
    expect(receiver.sent).toEqual([]);
    clock.advance(1);
    await clock.untilSomebodySleeps();
    const versions = [{ ...key, version: 'v1', lookups: 2 }];
    expect(receiver.sent).toEqual([{ sidecarId: 'sidecar-1', sequence: 1, versions }]);
    count('v1');
    await nextReport();
    expect(receiver.sent[1]).toMatchObject({ sequence: 2, versions: [{ lookups: 1 }] });
    await reporter[Symbol.asyncDispose]();
    expect(receiver.sent).toHaveLength(2);
  });

  test.for(['is away', 'loses the answer'] as const)(
    'are sent again as they were when the control plane %s, and what was counted meanwhile follows',
    async (conduct) => {
      const { receiver, reporter, nextReport, count } = start();
      receiver.conduct = conduct;
      count('v1', 2);
      await nextReport();
      count('v1', 3);
      await nextReport();
      count('v2', 4);
      receiver.conduct = 'answers';
      await nextReport();
      const [first, ...others] = receiver.sent;
      expect(others.map(({ sequence }) => sequence)).toEqual([1, 1, 2]);
      expect(others[0]).toEqual(first);
      expect(others[1]).toEqual(first);
      expect(others[2]?.versions).toEqual([
        { ...key, version: 'v2', lookups: 4 },
        { ...key, version: 'v1', lookups: 3 },
      ]);
      expect(receiver.added).toBe(9);
      await reporter[Symbol.asyncDispose]();
    },
  );

  test('that are refused for what they hold do not stand in the way of others', async () => {
    const { receiver, reporter, nextReport, count } = start();
    receiver.conduct = 'refuses';
    count('v1');
    await nextReport();
    receiver.conduct = 'answers';
    count('v1');
    await nextReport();
    expect(receiver.sent.map(({ sequence }) => sequence)).toEqual([1, 2]);
    await reporter[Symbol.asyncDispose]();
  });

  test('of many versions are several, each with no more than one may have', async () => {
    const { receiver, reporter, nextReport, count } = start();
    const { versionsPerReportMax } = sidecarLimits.usage;
    for (let version = 0; version < 2 * versionsPerReportMax + 1; version++) count('v1', 1, `service-${version}`);
    await nextReport();
    expect(receiver.sent.map(({ sequence, versions }) => [sequence, versions.length])).toEqual([
      [1, versionsPerReportMax],
      [2, versionsPerReportMax],
      [3, 1],
    ]);
    await reporter[Symbol.asyncDispose]();
  });

  test('are sent once more when the sidecar stops, which waits for that only so long', async () => {
    const { receiver, reporter, count } = start();
    count('v1');
    await reporter[Symbol.asyncDispose]();
    expect(receiver.added).toBe(1);
    expect(receiver.timeouts).toEqual([sidecarLimits.usage.lastReportMsMax]);
  });

  test('that are under way when the sidecar stops are sent again, and count once', async () => {
    const { clock, receiver, reporter, count } = start();
    receiver.conduct = 'hangs';
    count('v1');
    await clock.untilSomebodySleeps();
    clock.advance(750);
    await receiver.hanging.promise;
    // The call under way is cancelled by this; the last one is answered.
    const stopped = reporter[Symbol.asyncDispose]();
    receiver.conduct = 'answers';
    await stopped;
    expect(receiver.sent.map(({ sequence }) => sequence)).toEqual([1, 1]);
    expect(receiver.added).toBe(1);
  });
});
