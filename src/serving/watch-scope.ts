import type { Change } from '../domain/change.ts';
import type { WatchRequest } from '../gen/trafficmanager/v1/watch_service.ts';

/** What a watch wants to see. */
export type WatchScope = {
  /** Equal for equal scopes. */
  readonly key: string;
  /** The services it is about; undefined: all. */
  readonly services: readonly string[] | undefined;
  includes(service: string, environment: string): boolean;
  /** Changes of the tenant itself belong to every scope. */
  wants(change: Change): boolean;
};

/** The scope that a request asks for: empty lists mean all. */
export function scopeOf(request: Pick<WatchRequest, 'services' | 'environments'>): WatchScope {
  const services = request.services.length === 0 ? undefined : new Set(request.services);
  const environments = request.environments.length === 0 ? undefined : new Set(request.environments);
  const includes = (service: string, environment: string): boolean =>
    services?.has(service) !== false && environments?.has(environment) !== false;
  return {
    key: JSON.stringify([[...(services ?? [])].toSorted(), [...(environments ?? [])].toSorted()]),
    services: services && [...services],
    includes,
    wants: ({ subject }) => {
      if (subject.kind === 'tenant') return true;
      const { service, environment } = subject.kind === 'route' ? subject.after.key : subject.key;
      return includes(service, environment);
    },
  };
}
