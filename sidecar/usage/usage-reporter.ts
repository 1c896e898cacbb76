import type { Clock } from '../../src/platform/clock.ts';
import type { Logger } from '../../src/platform/logger.ts';
import { sidecarLimits } from '../limits.ts';
import type { LookupUsage, VersionLookups } from './lookup-usage.ts';

/** Some of what was counted, numbered: it is the same each time that it is sent. */
export type UsageReport = {
  readonly sidecarId: string;
  readonly sequence: number;
  readonly versions: readonly VersionLookups[];
};

/** Resolves to `added` when the report was added, now or before; to `refused` when it never will be. Rejects: try again. */
export type SendUsage = (
  report: UsageReport,
  call: { readonly timeoutMs: number; readonly signal: AbortSignal | undefined },
) => Promise<'added' | 'refused'>;

export type UsageReporterOptions = {
  readonly usage: LookupUsage;
  readonly send: SendUsage;
  /** Drawn when the process starts. */
  readonly sidecarId: string;
  readonly intervalMs: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
};

/**
 * Reports usage behind the lookups that it counts (write-behind): every interval, and once more when it stops. Who got no answer
 * cannot know whether a report was added: it stays as it is and is sent again, and what is counted meanwhile stays with
 * the counter. So nothing counts twice, and nothing is lost but what the process takes with it when it dies.
 */
export class UsageReporter implements AsyncDisposable {
  readonly #options: UsageReporterOptions;
  readonly #stopped = new AbortController();
  /** Not known to be added: at most what the counter holds. */
  #reports: UsageReport[] = [];
  #sequence = 0;
  #isCutOff = false;
  #running: Promise<void> | undefined;

  constructor(options: UsageReporterOptions) {
    this.#options = options;
  }

  start(): this {
    this.#running = this.#run();
    return this;
  }

  async #run(): Promise<void> {
    const { clock, random, intervalMs } = this.#options;
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      // Between half an interval and one and a half: a fleet that started together does not report together.
      await clock.sleep(intervalMs * (0.5 + random()), signal);
      if (!signal.aborted) await this.#report(Infinity, signal);
    }
  }

  /** First what could not be reported before, then what was counted since. */
  async #report(untilMs: number, signal: AbortSignal | undefined): Promise<void> {
    if (!(await this.#sendAll(untilMs, signal))) return;
    this.#reports = this.#cut();
    await this.#sendAll(untilMs, signal);
  }

  #cut(): UsageReport[] {
    const { usage, sidecarId, logger } = this.#options;
    const { versions, untold } = usage.take();
    if (untold > 0) logger.warn({ lookups: untold }, 'usage of more tenants than are counted is not reported');
    const reports: UsageReport[] = [];
    for (let at = 0; at < versions.length; at += sidecarLimits.usage.versionsPerReportMax) {
      const part = versions.slice(at, at + sidecarLimits.usage.versionsPerReportMax);
      reports.push({ sidecarId, sequence: ++this.#sequence, versions: part });
    }
    return reports;
  }

  /** Whether all of them are done. */
  async #sendAll(untilMs: number, signal: AbortSignal | undefined): Promise<boolean> {
    const { clock, logger } = this.#options;
    for (let report = this.#reports[0]; report !== undefined; report = this.#reports[0]) {
      const timeoutMs = Math.min(sidecarLimits.usage.reportMsMax, untilMs - clock.monotonicMs());
      if (timeoutMs <= 0) return false;
      try {
        const outcome = await this.#options.send(report, { timeoutMs, signal });
        if (outcome === 'refused')
          logger.error({ sequence: report.sequence }, 'the control plane refuses a usage report');
        else if (this.#isCutOff) logger.info({}, 'usage is reported again');
        this.#isCutOff = false;
        this.#reports.shift();
      } catch (error) {
        // Told once an outage. When we stop it is sent again at once.
        if (!this.#isCutOff && signal?.aborted !== true)
          logger.warn({ error }, 'cannot report usage now; it is kept and reported later');
        this.#isCutOff = true;
        return false;
      }
    }
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort();
    await this.#running;
    await this.#report(this.#options.clock.monotonicMs() + sidecarLimits.usage.lastReportMsMax, undefined);
  }
}
