import { TrafficManagerError, type Route, type TrafficManagerClient } from '../client/index.ts';
import { cliLimits } from './limits.ts';

/** Routes of one tenant that are switched off in one transaction. */
export interface Deactivation {
  readonly tenant: string;
  readonly routes: readonly Route[];
  /** Also when that is more of the tenant's ACTIVE routes than the server's shrink protection allows. */
  readonly force: boolean;
}

/**
 * Routes to switch off, by tenant: one transaction each, so that the server's shrink protection judges them together, as call by
 * call it would let every single one pass. Only what is forced, and so not judged, is cut into what fits in a transaction.
 */
export function deactivationsOf(routes: readonly Route[], force: boolean): Deactivation[] {
  const tenants = Map.groupBy(routes, ({ key }) => key?.tenant ?? '');
  return [...tenants].flatMap(([tenant, all]) =>
    (force ? inParts(all) : [all]).map((part) => ({ tenant, routes: part, force })),
  );
}

/**
 * Switches the routes off, all or none of them.
 *
 * @returns for each route the revision that did it; undefined: it was off already.
 * @throws TrafficManagerError with reason SHRINK_REFUSED also when there are more than the server takes, and so can judge, at once.
 */
export async function deactivateRoutes(
  client: TrafficManagerClient,
  { tenant, routes, force }: Deactivation,
): Promise<(bigint | undefined)[]> {
  if (routes.length > cliLimits.batchWritesMax) throw tooManyToJudge(tenant, routes.length);
  const writes = routes.map(({ key }) => ({
    write: { $case: 'deactivateRoute' as const, value: { key, etag: '' } },
  }));
  const { results } = await client.routes.batchWriteRoutes({ tenant, writes, force });
  return results.map(({ changed, revision }) => (changed ? revision : undefined));
}

function inParts(routes: readonly Route[]): Route[][] {
  const { batchWritesMax } = cliLimits;
  return Array.from({ length: Math.ceil(routes.length / batchWritesMax) }, (_unused, index) =>
    routes.slice(index * batchWritesMax, (index + 1) * batchWritesMax),
  );
}

function tooManyToJudge(tenant: string, count: number): TrafficManagerError {
  const { batchWritesMax } = cliLimits;
  return new TrafficManagerError({
    code: 'FAILED_PRECONDITION',
    reason: 'SHRINK_REFUSED',
    message: `this would switch ${count} routes off; more than ${batchWritesMax} cannot be judged together`,
    metadata: { tenant, lost: String(count), batch_writes_max: String(batchWritesMax) },
  });
}
