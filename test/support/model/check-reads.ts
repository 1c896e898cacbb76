import { isDeepStrictEqual } from 'node:util';
import type { Route } from '../../../src/client/index.ts';
import type { Read, Reply } from './operation.ts';
import type { ModelState, TenantLog } from './tenant-log.ts';

type What = Read['what'];

/** Whether an answer is right when the tenant is at a revision. */
export function explainsRead(log: TenantLog, revision: number, what: What, reply: Reply): boolean {
  const state = log.at(revision);
  switch (what.kind) {
    case 'get_route':
      return isDeepStrictEqual(reply.route, state.routes.get(what.path)?.wire);
    case 'get_policy':
      return isDeepStrictEqual(reply.policy, state.policies.get(what.group)?.wire);
    case 'list_routes': {
      const at = what.atRevision ?? revision;
      return at <= revision && reply.revision === at && isDeepStrictEqual(reply.routes, listedAt(log.at(at)));
    }
    case 'resolve': {
      const at = what.consistency.kind === 'at_revision' ? what.consistency.revision : revision;
      if (at > revision || reply.revision !== at) return false;
      const then = log.at(at);
      const route = then.routes.get(what.path);
      const group = what.path.split('/').slice(0, 2).join('/');
      return (
        route?.state === 'ACTIVE' &&
        isDeepStrictEqual(reply.route, route.wire) &&
        isDeepStrictEqual(reply.policy, then.policies.get(group)?.wire)
      );
    }
  }
}

/** Whether a refusal is right when the tenant is at a revision. */
export function refusesRead(log: TenantLog, revision: number, what: What, reason: string): boolean {
  const state = log.at(revision);
  switch (what.kind) {
    case 'get_route':
      return reason === 'ROUTE_NOT_FOUND' && !state.routes.has(what.path);
    case 'get_policy':
      return reason === 'TRAFFIC_POLICY_NOT_FOUND' && !state.policies.has(what.group);
    case 'list_routes':
      return reason === 'REVISION_IN_FUTURE' && (what.atRevision ?? 0) > revision;
    case 'resolve': {
      const { consistency, path } = what;
      if (consistency.kind === 'at_revision' && consistency.revision > revision) return reason === 'REVISION_IN_FUTURE';
      const at = consistency.kind === 'at_revision' ? consistency.revision : revision;
      const found = log.at(at).routes.get(path)?.state ?? 'DELETED';
      if (found === 'ACTIVE') return false;
      return reason === (found === 'DELETED' ? 'ROUTE_NOT_FOUND' : 'ROUTE_INACTIVE');
    }
  }
}

/** "In the order of (service, environment, version), bytewise." */
export function listedAt(state: ModelState): (Route | undefined)[] {
  return [...state.routes.entries()]
    .toSorted(([left], [right]) => Buffer.compare(Buffer.from(sortable(left)), Buffer.from(sortable(right))))
    .map(([, { wire }]) => wire);
}

function sortable(path: string): string {
  return path.replaceAll('/', '\0');
}
