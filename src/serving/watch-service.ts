import type { ChangeWindow } from '../domain/change-window.ts';
import type { Change, Position } from '../domain/change.ts';
import { DomainError } from '../domain/domain-error.ts';
import { limits } from '../domain/limits.ts';
import type { ServiceEnvironment } from '../domain/tenant-view.ts';
import { Violations } from '../domain/validation.ts';
import type { WatchRequest, WatchResponse, WatchServiceService } from '../gen/trafficmanager/v1/watch_service.ts';
import type { Clock } from '../platform/clock.ts';
import type { CallContext, Handlers, StreamWriter } from '../platform/grpc/handlers.ts';
import { changeToWire } from '../wire/change-wire.ts';
import { changeBytesAtMost } from './message-size.ts';
import { milliseconds } from './resolver-service.ts';
import { snapshotChunks } from './snapshot-chunks.ts';
import { scopeOf, type WatchScope } from './watch-scope.ts';

/** A tenant in memory, as a watch sees it. */
export interface WatchedTenant {
  /** Another object after memory had to be taken anew: what a watcher has seen may then not be part of it. */
  readonly window: ChangeWindow;
  readonly position: Position;
  /** The configuration at `position`. */
  readonly state: { all(): Iterable<ServiceEnvironment> };
  /** How long ago memory was certainly all there is, ms. */
  stalenessMs(): number;
  /** Calls back when memory has moved. */
  subscribe(listener: () => void): Disposable;
}

/** Where watches come from; the control plane and the sidecar each have one. */
export interface WatchSource {
  /** The tenant, holding everything up to `revision` if that exists at all. Rejects with TENANT_NOT_FOUND, UNAVAILABLE reasons. */
  open(tenant: string, revision: number, context: CallContext): Promise<WatchedTenant>;
  /** Changes that left the window: from a revision on, oldest first, whole transactions; empty when they are not kept here. */
  older(tenant: string, from: number, limit: number): Promise<readonly Change[]>;
}

/** Changes looked at in one step: a bound on the work between two looks at the other calls. */
const changesPerStep = 500;
/** Bytes, roughly: a fourth of the smallest limit on messages that clients commonly have. */
const messageBytes = 1024 * 1024;

type Watch = {
  readonly source: WatchSource;
  readonly tenant: WatchedTenant;
  readonly request: WatchRequest;
  readonly scope: WatchScope;
  readonly progressIntervalMs: number;
  readonly writer: StreamWriter<WatchResponse>;
  readonly context: CallContext;
  readonly clock: Clock;
};

/** WatchService over a source: what the control plane and the sidecar serve alike. The proto's service comment is its contract. */
export function watchHandlers({
  source,
  clock,
}: {
  source: WatchSource;
  clock: Clock;
}): Handlers<typeof WatchServiceService> {
  return {
    watch: async (request, writer, context) => {
      const { progressIntervalMs, afterRevision } = checked(request);
      const tenant = await source.open(request.tenant, afterRevision ?? 0, context);
      const watch: Watch = {
        source,
        tenant,
        request,
        scope: scopeOf(request),
        progressIntervalMs,
        writer,
        context,
        clock,
      };
      const { window } = tenant;
      const from = afterRevision === undefined ? await sendSnapshot(watch) : await resumePoint(watch, afterRevision);
      await follow(watch, window, from);
    },
  };
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
  violations.assertNone();
  return { progressIntervalMs, afterRevision };
}

async function sendSnapshot({ tenant, scope, writer }: Watch): Promise<Position> {
  const { position } = tenant;
  // Collected before the first await: one moment, whatever commits while the chunks go out.
  const chunks = snapshotChunks(tenant.state.all(), scope, messageBytes);
  for (const chunk of chunks) await writer.write(message(tenant, position, { $case: 'snapshotChunk', value: chunk }));
  return position;
}

async function resumePoint({ tenant, request, source }: Watch, revision: number): Promise<Position> {
  if (revision > tenant.position.revision) {
    throw new DomainError(
      'REVISION_IN_FUTURE',
      `revision ${revision} of ${request.tenant} is not reached; the newest is ${tenant.position.revision}`,
      {
        metadata: {
          tenant: request.tenant,
          revision: String(revision),
          newest_revision: String(tenant.position.revision),
        },
      },
    );
  }
  const position =
    tenant.window.positionAt(revision) ?? (await source.older(request.tenant, Math.max(revision, 1), 1))[0];
  const known = revision === 0 ? { revision: 0, commitId: '' } : position;
  if (known === undefined || (revision > 0 && known.revision !== revision)) throw compacted(request.tenant, revision);
  if (request.afterCommitId !== '' && request.afterCommitId !== known.commitId) {
    throw new DomainError(
      'HISTORY_DIVERGED',
      `revision ${revision} of ${request.tenant} is not the one that was seen: the database was restored`,
      {
        metadata: { tenant: request.tenant, revision: String(revision), commit_id: known.commitId },
      },
    );
  }
  return { revision, commitId: known.commitId };
}

function compacted(tenant: string, revision: number): DomainError {
  return new DomainError(
    'REVISION_COMPACTED',
    `changes of ${tenant} after revision ${revision} are no longer kept; start again with a snapshot`,
    {
      metadata: { tenant, revision: String(revision) },
    },
  );
}

/** Sends what comes after a position, for as long as the call lives. */
async function follow(watch: Watch, window: ChangeWindow, from: Position): Promise<void> {
  const { tenant, request, writer, context } = watch;
  let seen = from;
  let sentAtMs = watch.clock.monotonicMs();
  using bell = new Bell(tenant);
  while (!context.signal.aborted) {
    if (context.draining.aborted)
      throw new DomainError('SHUTTING_DOWN', 'the server is shutting down; resume anywhere', { retryDelayMs: 0 });
    if (tenant.window !== window) {
      throw new DomainError(
        'HISTORY_DIVERGED',
        `the history of ${request.tenant} was replaced; start again with a snapshot`,
        {
          metadata: { tenant: request.tenant, revision: String(seen.revision) },
        },
      );
    }
    const step = await next(watch, seen);
    const changes = step.changes.filter((change) => watch.scope(change));
    for (const response of batches(tenant, seen, { ...step, changes })) {
      await writer.write(response);
      sentAtMs = watch.clock.monotonicMs();
    }
    seen = step.position;
    // Also between two steps: changes that the scope leaves out are silence to the watcher.
    const silentMs = watch.clock.monotonicMs() - sentAtMs;
    if (silentMs >= watch.progressIntervalMs) {
      await writer.write(message(tenant, seen, { $case: 'progress', value: {} }));
      sentAtMs = watch.clock.monotonicMs();
    } else if (step.changes.length === 0) await bell.rung(watch, watch.progressIntervalMs - silentMs);
  }
}

async function next(
  { tenant, source, request }: Watch,
  seen: Position,
): Promise<{ changes: readonly Change[]; position: Position }> {
  const read = tenant.window.after(seen.revision, changesPerStep);
  if (read.kind === 'changes')
    return { changes: read.changes, position: read.changes.length === 0 ? seen : positionOf(read.position) };
  const changes = await source.older(request.tenant, seen.revision + 1, changesPerStep);
  const last = changes.at(-1);
  if (last === undefined || changes[0]?.revision !== seen.revision + 1) throw compacted(request.tenant, seen.revision);
  return { changes, position: positionOf(last) };
}

function positionOf({ revision, commitId }: Position): Position {
  return { revision, commitId };
}

/** The messages for one step: a message ends at about {@link messageBytes}, and only a finished transaction moves the resume point. */
function* batches(
  tenant: WatchedTenant,
  seen: Position,
  step: { changes: readonly Change[]; position: Position },
): Generator<WatchResponse> {
  let resume = seen;
  let from = 0;
  let bytes = 0;
  for (const [index, change] of step.changes.entries()) {
    bytes += changeBytesAtMost(change);
    const following = step.changes[index + 1];
    if (following === undefined || bytes < messageBytes) continue;
    const continued = following.commitId === change.commitId;
    if (!continued) resume = positionOf(change);
    yield batch(tenant, continued ? resume : positionOf(change), step.changes.slice(from, index + 1), continued);
    from = index + 1;
    bytes = 0;
  }
  if (from < step.changes.length) yield batch(tenant, step.position, step.changes.slice(from), false);
}

function batch(tenant: WatchedTenant, resume: Position, changes: readonly Change[], continued: boolean): WatchResponse {
  return message(tenant, resume, { $case: 'changeBatch', value: { changes: changes.map(changeToWire), continued } });
}

function message(
  tenant: WatchedTenant,
  { revision, commitId }: Position,
  event: NonNullable<WatchResponse['event']>,
): WatchResponse {
  return { revision: BigInt(revision), commitId, event, stalenessMs: BigInt(Math.ceil(tenant.stalenessMs())) };
}

/** Remembers that memory moved since it was last looked at, so that no move is slept through. */
class Bell implements Disposable {
  readonly #subscription: Disposable;
  #moved = false;
  #wake: (() => void) | undefined;

  constructor(tenant: WatchedTenant) {
    this.#subscription = tenant.subscribe(() => {
      this.#moved = true;
      this.#wake?.();
    });
  }

  /** Resolves when memory moved since the last call, after a time, or when the call or the server ends. */
  async rung({ clock, context }: Pick<Watch, 'clock' | 'context'>, timeoutMs: number): Promise<void> {
    if (!this.#moved) {
      const woken = new AbortController();
      this.#wake = () => woken.abort();
      await clock.sleep(timeoutMs, AbortSignal.any([woken.signal, context.signal, context.draining]));
      this.#wake = undefined;
    }
    this.#moved = false;
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
  }
}
