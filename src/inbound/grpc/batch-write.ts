import type { WriteOutcome } from '../../app/write-request.ts';
import type { Change } from '../../domain/change.ts';
import { limits } from '../../domain/limits.ts';
import type { Mutation } from '../../domain/mutation.ts';
import { Violations } from '../../domain/validation.ts';
import type {
  BatchWriteRoutesRequest,
  BatchWriteRoutesResponse,
  RouteWriteResult,
} from '../../gen/trafficmanager/v1/route_service.ts';
import type { CallContext } from '../../platform/grpc/handlers.ts';
import { changeToWire } from '../../wire/change-wire.ts';
import { encodeFirst } from '../../wire/page-wire.ts';
import { encodeChange } from '../../wire/watch-wire.ts';
import { batchMutation } from './route-mutations.ts';
import { validateRequestId, type Write } from './write-call.ts';

/** BatchWriteRoutes: one transaction for all writes. */
export function createBatchWrite(
  write: Write,
): (request: BatchWriteRoutesRequest, context: CallContext) => Promise<BatchWriteRoutesResponse> {
  return async (request, context) => {
    const { tenant, requestId, validateOnly, force } = request;
    const mutations = checkedMutations(request);
    const question = ['batch', tenant, mutations, force];
    const result = await write({ tenant, mutations, isBatch: true, requestId, validateOnly, force, question }, context);
    const shown = validateOnly ? shownChanges(result.outcomes) : new Set<Change>();
    return {
      results: result.outcomes.map((outcome) => writeResult(outcome, shown)),
      revision: BigInt(result.revision),
    };
  };
}

function checkedMutations(request: BatchWriteRoutesRequest): Mutation[] {
  const violations = new Violations();
  violations.name('tenant', request.tenant);
  validateRequestId(violations, request.requestId);
  if (request.writes.length === 0) violations.add('writes', 'is required');
  if (request.writes.length > limits.batchWritesMax)
    violations.add('writes', `has more than ${limits.batchWritesMax} entries`);
  violations.assertNone();
  const mutations: Mutation[] = [];
  for (const [index, wire] of request.writes.entries()) {
    const mutation = batchMutation(violations, `writes[${index}]`, wire);
    if (mutation === undefined || !('key' in mutation)) continue;
    if (mutation.key.tenant !== request.tenant)
      violations.add(`writes[${index}]`, `is of another tenant than the batch's, ${request.tenant}`);
    mutations.push(mutation);
  }
  violations.assertNone();
  return mutations;
}

/** What a dry run shows: of the changes that it would make the first, as many as fit in a reply. */
function shownChanges(outcomes: readonly WriteOutcome[]): ReadonlySet<Change> {
  const changes = outcomes.flatMap(({ change }) => change ?? []);
  return new Set(changes.slice(0, encodeFirst(changes, encodeChange).length));
}

function writeResult({ subject, change }: WriteOutcome, shown: ReadonlySet<Change>): RouteWriteResult {
  const resource = subject.after;
  return {
    revision: BigInt(change?.revision ?? resource?.revision ?? 0),
    etag: resource?.etag ?? '',
    changed: change !== undefined,
    change: change !== undefined && shown.has(change) ? changeToWire(change) : undefined,
  };
}
