import type { Admission } from '../../app/admission.ts';
import { limits } from '../../domain/limits.ts';
import type { RouteKey } from '../../domain/route.ts';
import { tenantNotFound } from '../../domain/transaction.ts';
import { Violations } from '../../domain/validation.ts';
import type {
  ListUsageRequest,
  ReportUsageRequest,
  UsageServiceService,
  VersionLookups as WireVersionLookups,
} from '../../gen/trafficmanager/v1/usage_service.ts';
import type { Handlers } from '../../platform/grpc/handlers.ts';
import type { LookupUsage, UsageFilter, UsageReport, VersionLookups } from '../../ports/lookup-usage.ts';
import { timeFromWire } from '../../wire/at-wire.ts';
import { decodePageToken, encodePageToken, pageSize } from './page-token.ts';

export type UsageHandlersOptions = {
  readonly usage: LookupUsage;
  readonly admission: Pick<Admission, 'admitUsageReport'>;
};

/** UsageService over what is counted. */
export function usageHandlers({ usage, admission }: UsageHandlersOptions): Handlers<typeof UsageServiceService> {
  return {
    reportUsage: async (request) => {
      const violations = new Violations();
      const report = reportOf(violations, request);
      violations.assertNone();
      await admission.admitUsageReport();
      return { alreadyAdded: !(await usage.add(report)) };
    },

    listUsage: async (request) => {
      const violations = new Violations();
      const filter = filterOf(violations, request);
      const size = pageSize(violations, request.pageSize);
      const question = ['usage', filter];
      const token = decodePageToken(violations, request.pageToken, { question, parts: 3 });
      violations.assertNone();
      const found = await usage.list(filter, { after: token && placeOf(token), limit: size + 1 });
      if (found === undefined) throw tenantNotFound(filter.tenant);
      const usages = found.slice(0, size);
      const last = usages.at(-1);
      const more = found.length > size && last !== undefined;
      return {
        usages: usages.map(({ lookups, lastLookupTimeMs, ...version }) => ({
          ...version,
          lookups: BigInt(lookups),
          lastLookupTime: new Date(lastLookupTimeMs),
        })),
        nextPageToken: more ? encodePageToken(question, [last.service, last.environment, last.version]) : '',
      };
    },
  };
}

function reportOf(violations: Violations, { sidecarId, sequence, versions }: ReportUsageRequest): UsageReport {
  violations.name('sidecar_id', sidecarId);
  violations.integer('sequence', Number(sequence), { min: 1, max: Number.MAX_SAFE_INTEGER });
  const { usageVersionsPerReportMax: countMax } = limits;
  if (versions.length > countMax) violations.add('versions', `has more than ${countMax} entries`);
  return {
    sidecarId,
    sequence: Number(sequence),
    versions: versions.slice(0, countMax).map((entry, index) => versionOf(violations, `versions[${index}]`, entry)),
  };
}

function versionOf(violations: Violations, path: string, entry: WireVersionLookups): VersionLookups {
  const { tenant, service, environment, version } = entry;
  const lookups = Number(entry.lookups);
  violations.name(`${path}.tenant`, tenant);
  const isToldApart = service !== '' || environment !== '' || version !== '';
  if (isToldApart) {
    violations.name(`${path}.service`, service);
    violations.name(`${path}.environment`, environment);
    violations.version(`${path}.version`, version);
  }
  violations.integer(`${path}.lookups`, lookups, { min: 1, max: limits.usageLookupsMax });
  return { tenant, service, environment, version, lookups };
}

function filterOf(violations: Violations, request: ListUsageRequest): UsageFilter {
  const { tenant, service, environment, version, startTime } = request;
  violations.name('tenant', tenant);
  if (service !== '') violations.name('service', service);
  if (environment !== '') violations.name('environment', environment);
  if (version !== '') violations.version('version', version);
  const startTimeMs = startTime && timeFromWire(violations, 'start_time', startTime);
  return { tenant, service, environment, version, startTimeMs };
}

function placeOf([service = '', environment = '', version = '']: readonly string[]): Omit<RouteKey, 'tenant'> {
  return { service, environment, version };
}
