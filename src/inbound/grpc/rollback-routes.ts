import { rollbackRoute, rollbackTenant } from '../../app/rollback.ts';
import type { WriteResult } from '../../app/write-request.ts';
import { Violations } from '../../domain/validation.ts';
import type {
  RollbackRouteRequest,
  RollbackTenantRequest,
  RollbackTenantResponse,
} from '../../gen/trafficmanager/v1/route_service.ts';
import type { CallContext } from '../../platform/grpc/handlers.ts';
import type { ChangeHistory } from '../../ports/change-history.ts';
import { changeToWire } from '../../wire/change-wire.ts';
import { encodeFirst } from '../../wire/page-wire.ts';
import { encodeChange } from '../../wire/watch-wire.ts';
import { checkedRouteKey } from './route-mutations.ts';
import { validateRequestId, type FirstReply, type Write } from './write-call.ts';

/** Changes that a dry run of a whole tenant shows. */
const shownChangesMax = 1_000;

export type RollbackOptions = {
  readonly write: Write;
  /** Asked before the history: what that reached when a request was made it may no longer reach when it is repeated. */
  readonly firstReply: FirstReply;
  readonly history: ChangeHistory;
};

/** RollbackRoute. */
export async function rollbackRouteCall(
  { write, firstReply, history }: RollbackOptions,
  request: RollbackRouteRequest,
  context: CallContext,
): Promise<WriteResult> {
  const violations = new Violations();
  const key = checkedRouteKey(violations, 'key', request.key);
  const revision = checkedRevision(violations, request.revision);
  validateRequestId(violations, request.requestId);
  violations.assertNone();
  const { etag, requestId, validateOnly } = request;
  const question = ['rollback_route', key, revision, etag];
  const call = { tenant: key.tenant, requestId, validateOnly, question };
  const first = await firstReply({ ...call, mutations: [{ kind: 'restore_route', key, value: undefined, etag }] });
  if (first !== undefined) return first;
  const mutation = await rollbackRoute(history, { key, revision, etag });
  return write({ ...call, mutations: [mutation] }, context);
}

/** RollbackTenant. */
export async function rollbackTenantCall(
  { write, firstReply, history }: RollbackOptions,
  request: RollbackTenantRequest,
  context: CallContext,
): Promise<RollbackTenantResponse> {
  const violations = new Violations();
  const { tenant, requestId, validateOnly, force } = request;
  violations.name('tenant', tenant);
  const revision = checkedRevision(violations, request.revision);
  validateRequestId(violations, requestId);
  violations.assertNone();
  const call = { tenant, requestId, validateOnly, force, question: ['rollback_tenant', tenant, revision, force] };
  const first = await firstReply({ ...call, mutations: [], restoresFrom: revision });
  const result =
    first ??
    (await rollbackTenant({
      history,
      tenant,
      revision,
      write: (mutations, restoresFrom) => write({ ...call, mutations, restoresFrom }, context),
    }));
  const changes = result.outcomes.flatMap((outcome) => outcome.change ?? []);
  return {
    revision: BigInt(result.revision),
    changedCount: changes.length,
    changes: validateOnly
      ? changes.slice(0, encodeFirst(changes.slice(0, shownChangesMax), encodeChange).length).map(changeToWire)
      : [],
  };
}

function checkedRevision(violations: Violations, wire: bigint): number {
  const revision = Number(wire);
  violations.integer('revision', revision, { min: 1, max: Number.MAX_SAFE_INTEGER });
  return revision;
}
