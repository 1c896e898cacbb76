import { expect, test } from 'vitest';
import { callContext } from '../../fakes/sidecar-call-context.ts';
import { WatchStage } from '../../fakes/watch-stage.ts';
import { commit, withCommits } from './watch-telling.ts';

test('a position is where memory is, and how long ago that was certainly all', async () => {
  const stage = withCommits(1, 2);
  stage.clock.advance(40.25);
  const asked = stage.getPosition({ tenant: 'acme' }, callContext());
  expect(await asked).toEqual({ revision: 3n, commitId: 'commit-2', stalenessMs: 41n });
  commit(stage, [1]);
  const again = stage.getPosition({ tenant: 'acme' }, callContext());
  expect(await again).toEqual({ revision: 4n, commitId: 'commit-3', stalenessMs: 0n });
});

test.each([
  ['', 'INVALID_FIELDS'],
  ['nobody', 'TENANT_NOT_FOUND'],
])('a position of tenant %j is refused: %s', async (tenant, reason) => {
  await expect(new WatchStage().getPosition({ tenant }, callContext())).rejects.toMatchObject({ reason });
});
