import { validateTenant } from '../../domain/tenant.ts';
import { tenantNotFound } from '../../domain/transaction.ts';
import { Violations } from '../../domain/validation.ts';
import type { TenantServiceService } from '../../gen/trafficmanager/v1/tenant_service.ts';
import type { Handlers } from '../../platform/grpc/handlers.ts';
import type { ConfigurationStore } from '../../ports/configuration-store.ts';
import { tenantToWire } from '../../wire/tenant-wire.ts';
import { decodePageToken, encodePageToken, pageSize } from './page-token.ts';
import { singleOutcome, validateRequestId, type Write } from './write-call.ts';

/** TenantService over the writer and the store. */
export function tenantHandlers({
  write,
  store,
}: {
  write: Write;
  store: ConfigurationStore;
}): Handlers<typeof TenantServiceService> {
  return {
    createTenant: async (request, context) => {
      const violations = new Violations();
      const tenant = request.tenant?.tenant ?? '';
      const value = { displayName: request.tenant?.displayName ?? '' };
      validateTenant(violations, 'tenant', tenant, value);
      validateRequestId(violations, request.requestId);
      violations.assertNone();
      const { requestId, validateOnly } = request;
      const result = await write(
        { tenant, mutations: [{ kind: 'create_tenant', tenant, value }], requestId, validateOnly },
        context,
      );
      const { outcome, change } = singleOutcome(result);
      if (outcome.subject.kind !== 'tenant') throw new Error('a tenant mutation with another outcome');
      return { tenant: tenantToWire(outcome.subject.after), change };
    },

    getTenant: async (request) => {
      const violations = new Violations();
      violations.name('tenant', request.tenant);
      violations.assertNone();
      const tenant = await store.getTenant(request.tenant);
      if (tenant === undefined) throw tenantNotFound(request.tenant);
      return { tenant: tenantToWire(tenant) };
    },

    listTenants: async (request) => {
      const violations = new Violations();
      const size = pageSize(violations, request.pageSize);
      const token = decodePageToken(violations, request.pageToken, { question: [], parts: 1 });
      violations.assertNone();
      const found = await store.listTenants(token?.[0] ?? '', size + 1);
      const tenants = found.slice(0, size);
      const last = tenants.at(-1);
      const more = found.length > size && last !== undefined;
      return { tenants: tenants.map(tenantToWire), nextPageToken: more ? encodePageToken([], [last.tenant]) : '' };
    },
  };
}
