import type { Change } from '../../src/domain/change.ts';
import { exampleEndpoint, exampleKey, exampleTenant } from './example-configuration.ts';

/**
 * Committed changes in a row, from `first` on: transactions with the given numbers of changes, named `commit-<last revision>`.
 * Each creates a route of its own.
 */
export function exampleChanges(first: number, ...sizes: readonly number[]): Change[] {
  let revision = first - 1;
  return sizes.flatMap((size) => {
    const commitRevision = revision + size;
    return Array.from({ length: size }, (): Change => {
      revision += 1;
      const commitTimeMs = 1_767_225_600_000 + commitRevision;
      const route = {
        key: exampleKey(`v${revision}`),
        endpoints: [exampleEndpoint()],
        labels: {},
        lifecycle: { state: 'ACTIVE' },
        revision,
        etag: `etag-${revision}`,
        createTimeMs: commitTimeMs,
        updateTimeMs: commitTimeMs,
        updatedBy: 'alice',
      } as const;
      return {
        tenant: exampleTenant,
        revision,
        commitRevision,
        commitId: `commit-${commitRevision}`,
        action: 'CREATED',
        actor: 'alice',
        correlationId: 'correlation',
        commitTimeMs,
        subject: { kind: 'route', before: undefined, after: route },
      };
    });
  });
}
