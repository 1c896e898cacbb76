import type { Position } from '../domain/change.ts';
import type { DomainError } from '../domain/domain-error.ts';
import { limits } from '../domain/limits.ts';
import { Violations } from '../domain/validation.ts';
import type { WatchRequest, WatchServiceService } from '../gen/trafficmanager/v1/watch_service.ts';
import type { CallContext, Handlers } from '../platform/grpc/handlers.ts';
import { milliseconds } from './resolver-service.ts';
import { compacted, historyDiverged, revisionInFuture } from './watch-errors.ts';
import { WatchFanOut, type WatchFanOutOptions } from './watch-fan-out.ts';
import { scopeOf } from './watch-scope.ts';
import type { WatchedTenant } from './watch-source.ts';
import { WatcherPlaces, type WatcherPlacesOptions } from './watcher-places.ts';

export type WatchHandlersOptions = WatchFanOutOptions & WatcherPlacesOptions;

/** WatchService over a source: what the control plane and the sidecar serve alike. The proto's service comment is its contract. */
export function watchHandlers(options: WatchHandlersOptions): Handlers<typeof WatchServiceService> {
  const { source } = options;
  const places = new WatcherPlaces(options);
  const fanOut = new WatchFanOut(options);
  const closesWith = new WeakSet<AbortSignal>();
  const closeWith = (draining: AbortSignal): void => {
    if (closesWith.has(draining)) return;
    closesWith.add(draining);
    if (draining.aborted) fanOut.close();
    else draining.addEventListener('abort', () => fanOut.close());
  };

  return {
    watch: async (request, sink, context) => {
      const { progressIntervalMs, afterRevision } = checked(request);
      closeWith(context.draining);
      using _place = places.take(request.tenant);
      const tenant = await source.open(request.tenant, afterRevision ?? 0, context, request.services);
      const after =
        afterRevision === undefined ? undefined : await resumePoint(fanOut, tenant, { request, afterRevision });
      await untilEnded(context, (end) =>
        fanOut.join(request.tenant, tenant, {
          sink,
          scope: scopeOf(request),
          everyChange: request.everyChange,
          progressIntervalMs,
          after,
          end,
        }),
      );
    },
    getPosition: async ({ tenant: name }, context) => {
      const violations = new Violations();
      violations.name('tenant', name);
      violations.assertNone();
      // Both of one moment: nothing is awaited between them.
      const tenant = await source.find(name, context);
      const { revision, commitId } = tenant.position;
      return { revision: BigInt(revision), commitId, stalenessMs: BigInt(Math.ceil(tenant.stalenessMs())) };
    },
  };
}

/** Lets a watcher be served until it is ended, or its call is over. */
function untilEnded(
  { signal }: CallContext,
  join: (end: (error: DomainError | undefined) => void) => Disposable,
): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const joined = join((error) => {
      if (error === undefined) resolve();
      else reject(error);
    });
    signal.addEventListener('abort', () => joined[Symbol.dispose](), { once: true });
  });
}

function checked(request: WatchRequest): { progressIntervalMs: number; afterRevision: number | undefined } {
  const violations = new Violations();
  violations.name('tenant', request.tenant);
  for (const field of ['services', 'environments'] as const) {
    if (request[field].length > limits.watchFiltersMax)
      violations.add(field, `has more than ${limits.watchFiltersMax} entries`);
    for (const [index, name] of request[field].slice(0, limits.watchFiltersMax).entries())
      violations.name(`${field}[${index}]`, name);
  }
  const afterRevision = request.afterRevision === undefined ? undefined : Number(request.afterRevision);
  if (afterRevision !== undefined)
    violations.integer('after_revision', afterRevision, { min: 0, max: Number.MAX_SAFE_INTEGER });
  const progressIntervalMs =
    request.progressInterval === undefined ? limits.progressIntervalMsDefault : milliseconds(request.progressInterval);
  if (!(progressIntervalMs >= limits.progressIntervalMsMin && progressIntervalMs <= limits.progressIntervalMsMax)) {
    violations.add('progress_interval', 'must be from 0.1 s to 10 min');
  }
  if (request.afterCommitId !== '' && afterRevision === undefined)
    violations.add('after_commit_id', 'needs after_revision');
  violations.assertNone();
  return { progressIntervalMs, afterRevision };
}

/** The position that a watch resumes after, if that is still what the client saw. */
async function resumePoint(
  { logPages }: WatchFanOut,
  tenant: WatchedTenant,
  { request, afterRevision: revision }: { request: WatchRequest; afterRevision: number },
): Promise<Position> {
  for (;;) {
    const { window } = tenant;
    const newest = window.end.revision;
    if (revision > newest) throw revisionInFuture(request.tenant, { revision, newest });
    let known: Position | undefined;
    if (revision === 0) known = { revision, commitId: '' };
    else if (window.reaches(revision)) known = window.positionAt(revision);
    else {
      const page =
        logPages.find(request.tenant, window, revision - 1) ??
        (await logPages.load(request.tenant, window, revision - 1));
      known = page?.positionAt(revision);
    }
    // Memory was taken anew meanwhile: look again at what it is now.
    if (tenant.window !== window) continue;
    if (known === undefined) throw compacted(request.tenant, { revision });
    if (request.afterCommitId !== '' && request.afterCommitId !== known.commitId)
      throw historyDiverged(request.tenant, known);
    return { revision, commitId: known.commitId };
  }
}
