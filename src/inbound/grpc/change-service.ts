import type { ChangeAction } from '../../domain/change.ts';
import { limits } from '../../domain/limits.ts';
import { Violations } from '../../domain/validation.ts';
import {
  ChangeOrder,
  type ChangeServiceService,
  type ListChangesRequest,
} from '../../gen/trafficmanager/v1/change_service.ts';
import type { Handlers } from '../../platform/grpc/handlers.ts';
import type { ChangeFilter, ChangeHistory, ChangePaging } from '../../ports/change-history.ts';
import { timeFromWire } from '../../wire/at-wire.ts';
import { actionFromWire } from '../../wire/change-wire.ts';
import { encodeFirst, encodePage } from '../../wire/page-wire.ts';
import { encodeChange } from '../../wire/watch-wire.ts';
import { decodePageToken, encodePageToken, pageSize, revisionOfToken } from './page-token.ts';

/** ChangeService over the history. */
export function changeHandlers(history: ChangeHistory): Handlers<typeof ChangeServiceService> {
  return {
    listChanges: async (request) => {
      const violations = new Violations();
      const filter = filterOf(violations, request);
      const order = orderOf(violations, request.order);
      const limit = pageSize(violations, request.pageSize);
      const question = ['changes', filter, order];
      const token = decodePageToken(violations, request.pageToken, { question, parts: 1 });
      const after = revisionOfToken(violations, token, 0);
      violations.assertNone();
      const page = await history.list(filter, { order, after, limit });
      const changes = encodeFirst(page.changes, encodeChange);
      const next = changes.length < page.changes.length ? page.changes[changes.length - 1]?.revision : page.next;
      const nextPageToken = next === undefined ? '' : encodePageToken(question, [String(next)]);
      return encodePage(changes, { nextPageToken, revision: page.newest });
    },
  };
}

function filterOf(violations: Violations, request: ListChangesRequest): ChangeFilter {
  const { tenant, service, environment, version, actor, correlationId } = request;
  violations.name('tenant', tenant);
  if (service !== '') violations.name('service', service);
  if (environment !== '') violations.name('environment', environment);
  if (version !== '') violations.version('version', version);
  violations.text('actor', actor, limits.actorLengthMax);
  violations.text('correlation_id', correlationId, limits.correlationIdLengthMax);
  const revisionMin = Number(request.revisionMin);
  const revisionMax = Number(request.revisionMax);
  violations.integer('revision_min', revisionMin, { min: 0, max: Number.MAX_SAFE_INTEGER });
  violations.integer('revision_max', revisionMax, { min: 0, max: Number.MAX_SAFE_INTEGER });
  const time = (field: string, value: Date | undefined): number | undefined =>
    value && timeFromWire(violations, field, value);
  return {
    tenant,
    service,
    environment,
    version,
    actions: actionsOf(violations, request),
    actor,
    correlationId,
    revisionMin,
    revisionMax,
    startTimeMs: time('start_time', request.startTime),
    endTimeMs: time('end_time', request.endTime),
  };
}

/** Each once, in one order: the same question then has the same token. */
function actionsOf(violations: Violations, request: ListChangesRequest): ChangeAction[] {
  const actions = new Set<ChangeAction>();
  for (const [index, wire] of request.actions.entries()) {
    const action = actionFromWire(wire);
    if (action === undefined) violations.add(`actions[${index}]`, 'is not an action that a change can have');
    else actions.add(action);
  }
  return [...actions].toSorted();
}

function orderOf(violations: Violations, order: ChangeOrder): ChangePaging['order'] {
  switch (order) {
    case ChangeOrder.CHANGE_ORDER_UNSPECIFIED:
    case ChangeOrder.CHANGE_ORDER_NEWEST_FIRST:
      return 'newest_first';
    case ChangeOrder.CHANGE_ORDER_OLDEST_FIRST:
      return 'oldest_first';
    case ChangeOrder.UNRECOGNIZED:
    default:
      violations.add('order', 'is not an order that changes can have');
      return 'newest_first';
  }
}
