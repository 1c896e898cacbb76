import { expect, test } from 'vitest';
import { noRoutes } from '../../../src/domain/route-counts.ts';
import { TenantDraft, TenantState, type WritableView } from '../../../src/domain/tenant-view.ts';
import { stage } from '../../../src/domain/transaction.ts';
import {
  createRoute,
  createTenant,
  exampleKey,
  exampleTenant,
  transactionOf,
} from '../../fakes/example-configuration.ts';

/** A tenant with two routes. */
function exampleState(): TenantState {
  const state = new TenantState();
  const keys = ['v1', 'v2'].map((version) => exampleKey(version));
  const { changes } = stage(
    state,
    0,
    transactionOf(exampleTenant, 'first', [createTenant(exampleTenant), ...keys.map((key) => createRoute(key))]),
  );
  for (const change of changes) state.apply(change);
  return state;
}

/** The same, of which nobody can take more than single routes. */
function withoutLists(state: TenantState): WritableView {
  return {
    tenant: state.tenant,
    routeCounts: state.routeCounts,
    find: (service, environment) => {
      const group = state.find(service, environment);
      return group && { policy: group.policy, routes: { get: (version) => group.routes.get(version) } };
    },
  };
}

test('a write looks only at the routes that it names, however many versions their service has', () => {
  const state = exampleState();
  const transaction = transactionOf(exampleTenant, 'second', [
    { kind: 'delete_route', key: exampleKey('v1'), etag: '' },
    createRoute(exampleKey('v3')),
  ]);
  const draft = new TenantDraft(withoutLists(state));
  for (const change of stage(draft, 3, transaction).changes) draft.apply(change);
  const { service, environment } = exampleKey();
  const states = ['v1', 'v2', 'v3'].map(
    (version) => draft.find(service, environment)?.routes.get(version)?.lifecycle.state,
  );
  expect(states).toEqual(['DELETED', 'ACTIVE', 'ACTIVE']);
  expect(draft.routeCounts).toEqual({ active: 2, kept: 2 });
  expect(state.routeCounts).toEqual({ active: 2, kept: 2 });
  expect(new TenantDraft(new TenantState()).routeCounts).toEqual(noRoutes);
});
