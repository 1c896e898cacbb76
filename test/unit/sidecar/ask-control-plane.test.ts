import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { RetryBudget } from '../../../sidecar/guard/retry-budget.ts';
import { controlPlaneGuard, sidecarLimits } from '../../../sidecar/limits.ts';
import { createAskControlPlane } from '../../../sidecar/lookup/ask-control-plane.ts';
import type { CallOptions } from '../../../src/client/call-options.ts';
import type { TrafficManagerClient } from '../../../src/client/create-client.ts';
import { TrafficManagerError } from '../../../src/client/traffic-manager-error.ts';
import type { Reason } from '../../../src/domain/domain-error.ts';
import type { Consistency } from '../../../src/domain/freshness.ts';
import type { Lookup } from '../../../src/domain/resolve.ts';
import { ResolveResponse, type ResolveRequest } from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { encodeResolution } from '../../../src/wire/resolve-wire.ts';
import { createRoute, exampleKey } from '../../fakes/example-configuration.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { callContext } from '../../fakes/sidecar-call-context.ts';
import { SidecarHistory } from '../../fakes/sidecar-history.ts';

// opossum takes no clock: the timers of the process are the fake ones here.
beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const lookup: Lookup = {
  ...exampleKey(),
  hashKey: 'user-1',
  attributes: { 'x-user': 'alice' },
  method: 'shop.Cart/Add',
};
const strong: Consistency = { kind: 'strong' };

function exampleAnswer(): ResolveResponse {
  const history = new SidecarHistory('acme');
  history.commit(createRoute(exampleKey()));
  const [route] = history.snapshot().routes;
  if (route === undefined) throw new Error('there is a route');
  const freshness = { source: 'SNAPSHOT', revision: 2, stalenessMs: 3, stale: false } as const;
  return ResolveResponse.decode(encodeResolution({ route, policy: undefined, reason: 'KEY' }, freshness));
}

type Call = { readonly request: Partial<ResolveRequest>; readonly options: CallOptions };

/** Asks a control plane whose answers the test gives. */
function start(answer: (call: Call) => Promise<ResolveResponse>, retriesSaved = 0) {
  const clock = new FakeClock();
  // Nobody moves the clock while a retry waits.
  clock.sleep = async () => {};
  const calls: Call[] = [];
  const resolve = async (request: Partial<ResolveRequest>, options: CallOptions = {}): Promise<ResolveResponse> => {
    calls.push({ request, options });
    return await answer({ request, options });
  };
  const client = { resolver: { resolve } } as unknown as Pick<TrafficManagerClient, 'resolver'>;
  const ask = createAskControlPlane({
    client,
    clock,
    random: () => 0,
    budget: new RetryBudget({ perCall: 0.1, savedMax: retriesSaved }),
    logger: createLogger('sidecar', 'silent'),
  });
  return { ask, calls, clock };
}

function failing(code: TrafficManagerError['code'], reason = '', retryDelayMs?: number): () => Promise<never> {
  return async () => {
    throw new TrafficManagerError({ code, message: `it says ${reason}`, reason, metadata: { a: 'b' }, retryDelayMs });
  };
}

async function reasonOf(asked: Promise<unknown>): Promise<unknown> {
  return await asked.then(
    () => 'answered',
    (error: unknown) => (error as { reason?: unknown }).reason,
  );
}

test('it asks for the same, for as long as the caller waits, less what the way back takes', async () => {
  const { ask, calls, clock } = start(async () => exampleAnswer());
  const context = callContext({ deadlineMs: clock.wallMs() + 1_000 });
  const { resolution, freshness } = await ask(lookup, { kind: 'min_revision', revision: 2 }, context);
  expect(resolution).toMatchObject({ reason: 'KEY', route: { key: exampleKey(), lifecycle: { state: 'ACTIVE' } } });
  expect(freshness).toEqual({ source: 'CONTROL_PLANE', revision: 2, stalenessMs: 3, stale: false });
  const { tenant, service, environment, version } = lookup;
  const consistency = { requirement: { $case: 'minRevision', value: 2n } };
  expect(calls[0]?.request).toEqual({
    key: { tenant, service, environment, version },
    hashKey: 'user-1',
    attributes: { 'x-user': 'alice' },
    method: 'shop.Cart/Add',
    consistency,
    at: undefined,
  });
  expect(calls[0]?.options).toEqual({
    timeoutMs: 1_000 - sidecarLimits.answerReserveMs,
    signal: context.signal,
    correlationId: context.correlationId,
  });
});

test('what is answered is older by the way that it took, but for what Postgres had during the call', async () => {
  const { ask, clock } = start(async () => {
    clock.advance(40);
    return exampleAnswer();
  });
  expect((await ask(lookup, { kind: 'eventual' }, callContext())).freshness.stalenessMs).toBe(43);
  expect((await ask(lookup, strong, callContext())).freshness.stalenessMs).toBe(3);
});

const nonsense: Record<string, (answer: ResolveResponse) => void> = {
  'of another tenant': ({ route }) => Object.assign(route?.key ?? {}, { tenant: 'other' }),
  'of another service': ({ route }) => Object.assign(route?.key ?? {}, { service: 'other' }),
  'of another environment': ({ route }) => Object.assign(route?.key ?? {}, { environment: 'other' }),
  'of another version': ({ route }) => Object.assign(route?.key ?? {}, { version: 'v9' }),
  'from the future': ({ freshness }) => Object.assign(freshness ?? {}, { stalenessMs: -1n }),
  'older than the revision that was asked for': ({ freshness }) => Object.assign(freshness ?? {}, { revision: 1n }),
  'without a route': (answer) => Object.assign(answer, { route: undefined }),
};

test.each(Object.entries(nonsense))('an answer %s is none, and opens the breaker', async (_, spoil) => {
  const { ask, calls } = start(async () => {
    const answer = exampleAnswer();
    spoil(answer);
    return answer;
  });
  const asked = (): Promise<unknown> => ask(lookup, { kind: 'min_revision', revision: 2 }, callContext());
  for (let count = 0; count < controlPlaneGuard.volumeMin; count++)
    expect(await reasonOf(asked())).toBe('CONTROL_PLANE_UNAVAILABLE');
  await asked().catch(() => undefined);
  expect(calls).toHaveLength(controlPlaneGuard.volumeMin);
});

test.each([
  [{ kind: 'eventual' }, undefined],
  [{ kind: 'strong' }, { $case: 'strong', value: true }],
  [
    { kind: 'max_staleness', stalenessMsMax: 1_500.25 },
    { $case: 'maxStaleness', value: { seconds: 1n, nanos: 500_250_000 } },
  ],
] as const)('%o goes on as it was asked', async (consistency, requirement) => {
  const { ask, calls } = start(async () => exampleAnswer());
  await ask(lookup, consistency, callContext());
  expect(calls[0]?.request.consistency).toEqual(requirement && { requirement });
  expect(calls[0]?.options.timeoutMs).toBe(controlPlaneGuard.timeoutMs);
});

test.each<[TrafficManagerError['code'], Reason]>([
  ['NOT_FOUND', 'ROUTE_NOT_FOUND'],
  ['NOT_FOUND', 'TENANT_NOT_FOUND'],
  ['NOT_FOUND', 'ROUTE_INACTIVE'],
  ['UNAVAILABLE', 'REVISION_NOT_REACHED'],
  ['UNAVAILABLE', 'STALENESS_EXCEEDED'],
])(
  'an answer that is an error (%s, %s) is passed on, and is nothing against the control plane',
  async (code, reason) => {
    const { ask, calls } = start(failing(code, reason, 700));
    for (let times = 0; times < 2 * controlPlaneGuard.volumeMin; times++) {
      const error: unknown = await ask(lookup, strong, callContext()).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ reason, message: `it says ${reason}`, metadata: { a: 'b' }, retryDelayMs: 700 });
    }
    expect(calls).toHaveLength(2 * controlPlaneGuard.volumeMin);
  },
);

test.each<[TrafficManagerError['code'], string]>([
  ['UNAVAILABLE', ''],
  ['UNAVAILABLE', 'SHUTTING_DOWN'],
  ['UNAVAILABLE', 'DATABASE_UNAVAILABLE'],
  ['DEADLINE_EXCEEDED', ''],
  ['INTERNAL', 'INTERNAL'],
  ['UNKNOWN', ''],
])('%s (%s) speaks against the control plane: it is left alone for a time', async (code, reason) => {
  const { ask, calls } = start(failing(code, reason));
  const unavailable = { reason: 'CONTROL_PLANE_UNAVAILABLE', retryDelayMs: controlPlaneGuard.resetMs };
  for (let times = 0; times < 2 * controlPlaneGuard.volumeMin; times++) {
    await expect(ask(lookup, strong, callContext())).rejects.toMatchObject(unavailable);
  }
  expect(calls).toHaveLength(controlPlaneGuard.volumeMin);
});

test('a control plane that does not answer is given up, and is left alone', async () => {
  const { ask, calls } = start(() => new Promise(() => {}));
  const asked = Array.from({ length: controlPlaneGuard.volumeMin }, () => reasonOf(ask(lookup, strong, callContext())));
  await vi.advanceTimersByTimeAsync(controlPlaneGuard.timeoutMs);
  expect(new Set(await Promise.all(asked))).toEqual(new Set(['CONTROL_PLANE_UNAVAILABLE']));
  expect(await reasonOf(ask(lookup, strong, callContext()))).toBe('CONTROL_PLANE_UNAVAILABLE');
  expect(calls).toHaveLength(controlPlaneGuard.volumeMin);
});

test('callers that leave no time for an answer do not keep the others from asking', async () => {
  const { ask, calls, clock } = start(failing('DEADLINE_EXCEEDED'));
  const { answerReserveMs } = sidecarLimits;
  const within = (patienceMs: number) => callContext({ deadlineMs: clock.wallMs() + answerReserveMs + patienceMs });
  const impatient = within(controlPlaneGuard.fairTimeoutMs - 1);
  for (let times = 0; times < 2 * controlPlaneGuard.volumeMin; times++) {
    expect(await reasonOf(ask(lookup, strong, impatient))).toBe('CONTROL_PLANE_UNAVAILABLE');
  }
  expect(calls).toHaveLength(2 * controlPlaneGuard.volumeMin);
  // Those that left enough do.
  for (let times = 0; times < 3 * controlPlaneGuard.volumeMin; times++) {
    await reasonOf(ask(lookup, strong, within(controlPlaneGuard.fairTimeoutMs)));
  }
  expect(calls.length).toBeLessThan(5 * controlPlaneGuard.volumeMin);
});

test('a whole batch is asked, in turns; what the waiting room does not hold is refused', async () => {
  let underWay = 0;
  let underWayMost = 0;
  const { ask, calls } = start(async () => {
    underWay += 1;
    underWayMost = Math.max(underWayMost, underWay);
    await Promise.resolve();
    underWay -= 1;
    return exampleAnswer();
  });
  const { concurrentMax, waitingMax } = controlPlaneGuard.perTenant;
  const batch = Array.from({ length: 1_000 }, () => reasonOf(ask(lookup, strong, callContext())));
  expect(new Set(await Promise.all(batch))).toEqual(new Set(['answered']));
  expect(underWayMost).toBe(concurrentMax);
  const tooMany = Array.from({ length: concurrentMax + waitingMax + 3 }, () =>
    reasonOf(ask(lookup, strong, callContext())),
  );
  const refused = (await Promise.all(tooMany)).filter((reason) => reason === 'OVERLOADED');
  expect(refused).toHaveLength(3);
  expect(calls).toHaveLength(1_000 + concurrentMax + waitingMax);
});

test('what was not taken is tried again, as often as it may be and as the budget has it', async () => {
  const unavailable = start(failing('UNAVAILABLE'), 3);
  expect(await reasonOf(unavailable.ask(lookup, strong, callContext()))).toBe('CONTROL_PLANE_UNAVAILABLE');
  expect(unavailable.calls).toHaveLength(1 + controlPlaneGuard.retriesMax);
  await reasonOf(unavailable.ask(lookup, strong, callContext()));
  expect(unavailable.calls).toHaveLength(2 + 3);
  await reasonOf(unavailable.ask(lookup, strong, callContext()));
  expect(unavailable.calls).toHaveLength(3 + 3);
  // Its answers are answers, and what timed out would time out again.
  for (const code of ['NOT_FOUND', 'DEADLINE_EXCEEDED', 'INTERNAL'] as const) {
    const other = start(failing(code), 3);
    await reasonOf(other.ask(lookup, strong, callContext()));
    expect(other.calls).toHaveLength(1);
  }
});

test('calls that the open breaker refuses earn no retries', async () => {
  let isThere = true;
  const unavailable = failing('UNAVAILABLE');
  const { ask, calls } = start(async ({ request: { key } }) => {
    if (!isThere) return await unavailable();
    const answer = exampleAnswer();
    return { ...answer, route: answer.route && { ...answer.route, key } };
  }, 10);
  let services = 0;
  const askAnother = async (): Promise<unknown> =>
    await reasonOf(ask({ ...lookup, service: `other-${++services}` }, strong, callContext()));
  for (let round = 0; round < 5; round++) {
    isThere = false;
    for (let count = 0; count < 200; count++) await askAnother();
    isThere = true;
    await vi.advanceTimersByTimeAsync(controlPlaneGuard.resetMs);
    expect(await askAnother()).toBe('answered');
  }
  const firsts = new Set(calls.map(({ request }) => request.key?.service)).size;
  // The breaker did refuse most of them.
  expect(firsts).toBeLessThan(services / 2);
  expect(calls.length - firsts).toBeLessThanOrEqual(10 + 0.1 * firsts);
});

test('a retry that comes through is an answer like any other', async () => {
  let attempts = 0;
  const refuse = failing('UNAVAILABLE');
  const { ask } = start(async () => (++attempts < 3 ? await refuse() : exampleAnswer()), 3);
  expect(await reasonOf(ask(lookup, strong, callContext()))).toBe('answered');
});
