import type { Change } from '../domain/change.ts';
import type { WatchRequest } from '../gen/trafficmanager/v1/watch_service.ts';

/** Whether a watch wants to see a change, or (service, environment) of a snapshot. */
export type WatchScope = ((change: Change) => boolean) & {
  readonly includes: (service: string, environment: string) => boolean;
};

/** The scope that a request asks for: empty lists mean all. Changes of the tenant itself belong to every scope. */
export function scopeOf(request: Pick<WatchRequest, 'services' | 'environments'>): WatchScope {
  const services = request.services.length === 0 ? undefined : new Set(request.services);
  const environments = request.environments.length === 0 ? undefined : new Set(request.environments);
  const includes = (service: string, environment: string): boolean =>
    services?.has(service) !== false && environments?.has(environment) !== false;
  const wants = ({ subject }: Change): boolean => {
    if (subject.kind === 'tenant') return true;
    const { service, environment } = subject.kind === 'route' ? subject.after.key : subject.key;
    return includes(service, environment);
  };
  return Object.assign(wants, { includes });
}
