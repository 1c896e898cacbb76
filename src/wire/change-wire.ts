import type { Change, ChangeAction as Action, ChangeSubject } from '../domain/change.ts';
import { ChangeAction, type Change as WireChange } from '../gen/trafficmanager/v1/change.ts';
import { routeFromWire, routeToWire } from './route-wire.ts';
import { tenantFromWire, tenantToWire } from './tenant-wire.ts';
import { policyFromWire, policyKeyFromWire, policyToWire } from './traffic-policy-wire.ts';

const actionToWire = {
  CREATED: ChangeAction.CHANGE_ACTION_CREATED,
  UPDATED: ChangeAction.CHANGE_ACTION_UPDATED,
  ACTIVATED: ChangeAction.CHANGE_ACTION_ACTIVATED,
  DEACTIVATED: ChangeAction.CHANGE_ACTION_DEACTIVATED,
  DELETED: ChangeAction.CHANGE_ACTION_DELETED,
  UNDELETED: ChangeAction.CHANGE_ACTION_UNDELETED,
} as const satisfies Record<Action, ChangeAction>;

const actions = new Map<ChangeAction, Action>(
  Object.entries(actionToWire).map(([action, wire]) => [wire, action as Action]),
);

/** The action that a wire value names; undefined for UNSPECIFIED, and for numbers that no action has. */
export function actionFromWire(wire: ChangeAction): Action | undefined {
  return actions.get(wire);
}

export function changeToWire(change: Change): WireChange {
  return {
    tenant: change.tenant,
    revision: BigInt(change.revision),
    commitRevision: BigInt(change.commitRevision),
    commitId: change.commitId,
    action: actionToWire[change.action],
    actor: change.actor,
    correlationId: change.correlationId,
    commitTime: new Date(change.commitTimeMs),
    resource: resourceToWire(change.subject),
  };
}

function resourceToWire(subject: ChangeSubject): NonNullable<WireChange['resource']> {
  switch (subject.kind) {
    case 'route':
      return {
        $case: 'route',
        value: { before: subject.before && routeToWire(subject.before), after: routeToWire(subject.after) },
      };
    case 'traffic_policy': {
      const value = {
        key: subject.key,
        before: subject.before && policyToWire(subject.before),
        after: subject.after && policyToWire(subject.after),
      };
      return { $case: 'trafficPolicy', value };
    }
    case 'tenant':
      return {
        $case: 'tenantChange',
        value: { before: subject.before && tenantToWire(subject.before), after: tenantToWire(subject.after) },
      };
  }
}

/** A change as another process sent it. Throws when it has no resource: a newer sender's, which this program must not skip. */
export function changeFromWire(wire: WireChange): Change {
  const action = actionFromWire(wire.action);
  if (action === undefined)
    throw new Error(`change ${wire.revision} of ${wire.tenant} has an unknown action ${wire.action}`);
  return {
    tenant: wire.tenant,
    revision: Number(wire.revision),
    commitRevision: Number(wire.commitRevision),
    commitId: wire.commitId,
    action,
    actor: wire.actor,
    correlationId: wire.correlationId,
    commitTimeMs: wire.commitTime?.getTime() ?? 0,
    subject: subjectFromWire(wire),
  };
}

function subjectFromWire({ resource, revision, tenant }: WireChange): ChangeSubject {
  switch (resource?.$case) {
    case 'route': {
      const { before, after } = resource.value;
      if (after === undefined) throw new Error(`change ${revision} of ${tenant} has no route`);
      return { kind: 'route', before: before && routeFromWire(before), after: routeFromWire(after) };
    }
    case 'trafficPolicy': {
      const { key, before, after } = resource.value;
      return {
        kind: 'traffic_policy',
        key: policyKeyFromWire(key),
        before: before && policyFromWire(before),
        after: after && policyFromWire(after),
      };
    }
    case 'tenantChange': {
      const { before, after } = resource.value;
      if (after === undefined) throw new Error(`change ${revision} of ${tenant} has no tenant`);
      return { kind: 'tenant', before: before && tenantFromWire(before), after: tenantFromWire(after) };
    }
    case undefined:
      throw new Error(`change ${revision} of ${tenant} has a resource that this program does not know`);
  }
}
