import { expect, test } from 'vitest';
import { Admission } from '../../../src/app/admission.ts';
import { replicaLimits } from '../../../src/app/limits.ts';
import { DomainError } from '../../../src/domain/domain-error.ts';
import { createRateLimits } from '../../../src/platform/rate-limits.ts';
import { createInMemoryConfigurationStore } from '../../fakes/in-memory-configuration-store.ts';
import { TestReplica } from '../../fakes/test-replica.ts';

test('usage reports beyond what a second takes are refused, and told when to come back', async () => {
  const { replica } = new TestReplica(createInMemoryConfigurationStore(() => 0));
  const admission = new Admission(replica, createRateLimits());
  const { usageReportsPerSecond } = replicaLimits;
  const admitted = await Promise.allSettled(
    Array.from({ length: usageReportsPerSecond + 1 }, async () => await admission.admitUsageReport()),
  );
  const refused = admitted.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []));
  expect(refused).toHaveLength(1);
  expect(refused[0]).toBeInstanceOf(DomainError);
  expect(refused[0]).toMatchObject({ reason: 'RATE_LIMITED', metadata: { quota: 'usage reports' } });
  expect((refused[0] as DomainError).retryDelayMs).toBeGreaterThan(0);
});
