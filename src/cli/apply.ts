import { readFile } from 'node:fs/promises';
import {
  ChangeAction,
  createClient,
  message,
  RouteState,
  Tenant,
  TrafficManagerError,
  type Change,
  type Route,
  type TrafficManagerClient,
  type TrafficPolicy,
  type TlsSettings,
} from '../client/index.ts';
import { deactivateRoutes, deactivationsOf, type Deactivation } from './deactivate-routes.ts';
import { forEachConcurrently } from './for-each-concurrently.ts';
import { cliLimits } from './limits.ts';
import { manifestResources, type ManifestResources } from './manifest-resources.ts';
import { parseManifest } from './manifest.ts';
import { formatKey } from './resource-path.ts';

/** What to apply, and where. */
export interface ApplyOptions {
  /** The path of a manifest, such as `deploy/examples/shop.yaml`. */
  readonly file: string;
  /** Of the control plane: `host:port`, `grpc://host:port` or `unix:/path`. */
  readonly address: string;
  /** Plain text when not set. */
  readonly tls?: TlsSettings | undefined;
  /** Also where that switches more of a tenant's ACTIVE routes off than the server's shrink protection allows; false when not set. */
  readonly force?: boolean | undefined;
  /** Told of every change, in a line for people. */
  readonly onProgress?: ((line: string) => void) | undefined;
  /** Who applies, for the audit log. */
  readonly actor?: string | undefined;
  /** One id for all calls of this apply, so that the audit log shows them together. */
  readonly correlationId?: string | undefined;
  /** The administrators' token, where the control plane has one. */
  readonly token?: string | undefined;
  /** Milliseconds for each call, not for the whole; 5,000 when not set. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What came of it. */
export interface ApplyResult {
  /** Changes that were committed; a route that was updated and activated counts twice. */
  readonly changes: number;
  /** Tenants, routes and policies of the file that were already as it says. */
  readonly unchanged: number;
}

/** A tenant, route or policy that the server refused, or all routes of a tenant that were to be switched off. */
export interface RefusedResource {
  /** Such as `route acme/cart/production/v2`, or `routes of acme`. */
  readonly resource: string;
  readonly error: TrafficManagerError;
}

/** The server refused resources for what the file says about them; each has its own error. */
export class ApplyError extends Error {
  override readonly name = 'ApplyError';
  readonly refused: readonly RefusedResource[];

  constructor(refused: readonly RefusedResource[]) {
    super(`${refused.length} of the file's resources were refused; what went before them is applied.`);
    this.refused = refused;
  }
}

/**
 * Makes the control plane hold what a manifest says. Converges: applied again it changes nothing, and after a failure it can
 * simply be applied again. Never deletes: what the file does not mention stays as it is.
 *
 * Each step is whole before the next begins, so that no policy sends calls where no route answers yet, or no longer: tenants;
 * routes created, updated and activated; policies; routes deactivated. The last is all or nothing for each tenant, as it is what
 * shrink protection is about.
 *
 * @throws ManifestError before anything is sent, when the file is not a manifest.
 * @throws ApplyError when the server refuses resources: all of that step that it refuses, 20 at most.
 * @throws TrafficManagerError at once for any other failure of a call; the file's own errors come from node:fs.
 */
export async function applyFile(options: ApplyOptions): Promise<ApplyResult> {
  const { file, address, tls, actor, correlationId, timeoutMs, signal, token } = options;
  const resources = manifestResources(parseManifest({ file, text: await readFile(file, 'utf8') }));
  using client = createClient({ address, tls, defaults: { actor, correlationId, timeoutMs, signal, token } });
  return await applyResources(client, resources, options);
}

async function applyResources(
  client: TrafficManagerClient,
  { tenants, routes, policies }: ManifestResources,
  { onProgress = () => undefined, force = false }: ApplyOptions,
): Promise<ApplyResult> {
  let changes = 0;
  const changed = new Set<string>();
  const record = (resource: string, change: Pick<Change, 'action' | 'revision'> | undefined) => {
    if (change === undefined) return;
    changes++;
    changed.add(resource);
    onProgress(`${resource} ${verbs[change.action]} (revision ${change.revision})`);
  };
  const states = new Map<Route, RouteState | undefined>();

  await eachResource(
    tenants,
    ({ tenant }) => `tenant ${tenant}`,
    async (tenant, name) => {
      record(name, await ensureTenant(client, tenant));
    },
  );
  await eachResource(routes, routeName, async (route, name) => {
    const written = await writeRoute(client, route);
    record(name, written.change);
    states.set(route, written.route?.state);
    if (route.state !== RouteState.ROUTE_STATE_ACTIVE || written.route?.state === route.state) return;
    record(name, (await client.routes.activateRoute({ key: route.key })).change);
  });
  await eachResource(policies, policyName, async (trafficPolicy, name) => {
    record(name, (await client.policies.setTrafficPolicy({ trafficPolicy })).change);
  });
  const toDeactivate = routes.filter(
    (route) => route.state === RouteState.ROUTE_STATE_INACTIVE && states.get(route) !== route.state,
  );
  await eachResource(deactivationsOf(toDeactivate, force), deactivationName, async (deactivation) => {
    const revisions = await deactivateRoutes(client, deactivation);
    for (const [index, route] of deactivation.routes.entries()) {
      const revision = revisions[index];
      const action = ChangeAction.CHANGE_ACTION_DEACTIVATED;
      record(routeName(route), revision === undefined ? undefined : { action, revision });
    }
  });
  return { changes, unchanged: tenants.length + routes.length + policies.length - changed.size };
}

/** One step. What the server refuses for its content is gathered, so that one run shows all of it. */
async function eachResource<Resource>(
  resources: readonly Resource[],
  nameOf: (resource: Resource, error?: TrafficManagerError) => string,
  work: (resource: Resource, name: string) => Promise<void>,
): Promise<void> {
  const refused: RefusedResource[] = [];
  await forEachConcurrently(resources, cliLimits.applyInFlightMax, async (resource) => {
    const name = nameOf(resource);
    try {
      await work(resource, name);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      refused.push({ resource: nameOf(resource, error), error });
      if (refused.length >= cliLimits.applyFailuresMax) throw new ApplyError(refused);
    }
  });
  if (refused.length > 0) throw new ApplyError(refused);
}

async function ensureTenant(
  client: TrafficManagerClient,
  { tenant, displayName }: ManifestResources['tenants'][number],
): Promise<Change | undefined> {
  try {
    return (await client.tenants.createTenant({ tenant: message(Tenant, { tenant, displayName }) })).change;
  } catch (error) {
    if (!isAlreadyThere(error)) throw error;
    // It has a display name, and the file does not care which; or quotas, which the file does not know.
    if (displayName === undefined) return undefined;
    const wanted = { tenant: message(Tenant, { tenant, displayName }), updateMask: ['display_name'] };
    return (await client.tenants.updateTenant(wanted)).change;
  }
}

/**
 * Creates the route, or updates the one that differs. Not UpdateRoute with `allow_missing`: what that creates is ACTIVE, so a
 * route that the file switches off would answer until it is deactivated. Creating also takes the name of a deleted route anew;
 * undeleting it would let the endpoints that it had answer until they are replaced.
 */
async function writeRoute(
  client: TrafficManagerClient,
  route: Route,
): Promise<{ readonly route?: Route | undefined; readonly change?: Change | undefined }> {
  try {
    return await client.routes.createRoute({ route });
  } catch (error) {
    if (!isAlreadyThere(error)) throw error;
    return await client.routes.updateRoute({ route });
  }
}

function isAlreadyThere(error: unknown): error is TrafficManagerError {
  return error instanceof TrafficManagerError && error.code === 'ALREADY_EXISTS';
}

/** Whether the failure is about what the file says, and so says nothing about the other resources. */
function isRefusal(error: unknown): error is TrafficManagerError {
  return error instanceof TrafficManagerError && refusalCodes.has(error.code);
}

const refusalCodes: ReadonlySet<string> = new Set([
  'INVALID_ARGUMENT',
  'FAILED_PRECONDITION',
  'ALREADY_EXISTS',
  'ABORTED',
]);

const verbs: Readonly<Record<ChangeAction, string>> = {
  [ChangeAction.CHANGE_ACTION_UNSPECIFIED]: 'changed',
  [ChangeAction.CHANGE_ACTION_CREATED]: 'created',
  [ChangeAction.CHANGE_ACTION_UPDATED]: 'updated',
  [ChangeAction.CHANGE_ACTION_ACTIVATED]: 'activated',
  [ChangeAction.CHANGE_ACTION_DEACTIVATED]: 'deactivated',
  [ChangeAction.CHANGE_ACTION_DELETED]: 'deleted',
  [ChangeAction.CHANGE_ACTION_UNDELETED]: 'undeleted',
  [ChangeAction.UNRECOGNIZED]: 'changed',
};

function routeName({ key }: Route): string {
  return `route ${key === undefined ? '' : formatKey(key)}`;
}

/** Of the route that was refused, where it was a single one. */
function deactivationName({ tenant, routes }: Deactivation, error?: TrafficManagerError): string {
  const route = routes[Number(error?.metadata['index'])];
  return route === undefined ? `routes of ${tenant}` : routeName(route);
}

function policyName({ key }: TrafficPolicy): string {
  return `policy ${key === undefined ? '' : formatKey(key)}`;
}
