import { TrafficManagerError } from '../../src/client/traffic-manager-error.ts';
import type { ServiceClient } from '../../src/client/service-client.ts';
import type { WatchServiceService } from '../../src/gen/trafficmanager/v1/watch_service.ts';
import type { Clock } from '../../src/platform/clock.ts';
import type { Random } from '../../src/platform/random.ts';
import { sidecarLimits } from '../limits.ts';
import type { Answer, FreshnessProofs } from './freshness-proofs.ts';

export type PositionAskingOptions = {
  readonly tenant: string;
  readonly getPosition: ServiceClient<WatchServiceService>['getPosition'];
  readonly proofs: FreshnessProofs;
  readonly clock: Clock;
  readonly random: Random;
};

/**
 * Asks a server again and again where a tenant is, until the signal fires. Rejects with what the follower throws, and when the
 * server does not know the question: then nothing that it tells can ever be proven to be fresh.
 *
 * The cost: one small call a second for each tenant that a sidecar follows, answered from memory.
 */
export async function askForPositions(options: PositionAskingOptions, signal: AbortSignal): Promise<void> {
  const { proofs, clock, random } = options;
  while (!signal.aborted) {
    const question = proofs.ask();
    const answer = await ask(options, signal);
    if (signal.aborted) return;
    if (answer instanceof Error) proofs.failed(answer);
    else proofs.answered(question, answer);
    await clock.sleep(sidecarLimits.askIntervalMs * (0.5 + random()), signal);
  }
}

async function ask({ tenant, getPosition }: PositionAskingOptions, signal: AbortSignal): Promise<Answer | Error> {
  try {
    const answer = await getPosition({ tenant }, { signal, timeoutMs: sidecarLimits.askMsMax });
    const { revision, commitId, stalenessMs } = answer;
    return { position: { revision: Number(revision), commitId }, stalenessMs: Number(stalenessMs) };
  } catch (cause) {
    if (cause instanceof TrafficManagerError && cause.code === 'UNIMPLEMENTED')
      throw new Error('the source does not know GetPosition, so that nobody can tell how fresh it is', { cause });
    return cause instanceof Error ? cause : new Error('unknown', { cause });
  }
}
