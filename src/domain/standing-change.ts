import type { Change } from './change.ts';
import type { Provenance, Route } from './route.ts';
import type { TrafficPolicy } from './traffic-policy.ts';

/**
 * The change that made a resource what it is, as far as the resource itself still tells: who and when, but not in which transaction,
 * or by which call.
 */
export function standingChange(resource: Route | TrafficPolicy): Change {
  if ('lifecycle' in resource) {
    const deleted = resource.lifecycle.state === 'DELETED';
    const action = deleted ? 'DELETED' : actionOf(resource);
    return {
      ...common(resource, resource.key.tenant),
      action,
      subject: { kind: 'route', before: undefined, after: resource },
    };
  }
  return {
    ...common(resource, resource.key.tenant),
    action: actionOf(resource),
    subject: { kind: 'traffic_policy', key: resource.key, before: undefined, after: resource },
  };
}

function common(resource: Provenance, tenant: string): Omit<Change, 'action' | 'subject'> {
  return {
    tenant,
    revision: resource.revision,
    commitRevision: resource.revision,
    commitId: '',
    actor: resource.updatedBy,
    correlationId: '',
    commitTimeMs: resource.updateTimeMs,
  };
}

function actionOf({ createTimeMs, updateTimeMs }: Provenance): 'CREATED' | 'UPDATED' {
  return createTimeMs === updateTimeMs ? 'CREATED' : 'UPDATED';
}
