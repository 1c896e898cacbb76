import type { ServiceClient } from '../../src/client/service-client.ts';
import { TrafficManagerError } from '../../src/client/traffic-manager-error.ts';
import type { UsageServiceService } from '../../src/gen/trafficmanager/v1/usage_service.ts';
import type { SendUsage } from './usage-reporter.ts';

/**
 * Sends reports to the control plane, one at a time, beside the lookups that are passed on to it: they take none of those places, and
 * say nothing about its breaker.
 */
export function createSendUsage({ reportUsage }: Pick<ServiceClient<UsageServiceService>, 'reportUsage'>): SendUsage {
  return async ({ sidecarId, sequence, versions }, { timeoutMs, signal }) => {
    try {
      await reportUsage(
        {
          sidecarId,
          sequence: BigInt(sequence),
          versions: versions.map((version) => ({ ...version, lookups: BigInt(version.lookups) })),
        },
        { timeoutMs, signal },
      );
      return 'added';
    } catch (error) {
      // The only answer that repeating cannot change. One that does not know the method may be replaced by a newer one.
      if (error instanceof TrafficManagerError && error.code === 'INVALID_ARGUMENT') return 'refused';
      throw error;
    }
  };
}
