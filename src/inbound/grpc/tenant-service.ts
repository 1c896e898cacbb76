import type { WriteResult } from '../../app/write-request.ts';
import type { Mutation } from '../../domain/mutation.ts';
import { validateTenant, type TenantValue } from '../../domain/tenant.ts';
import { tenantNotFound } from '../../domain/transaction.ts';
import { Violations } from '../../domain/validation.ts';
import type { Tenant as WireTenant } from '../../gen/trafficmanager/v1/tenant.ts';
import type { TenantServiceService } from '../../gen/trafficmanager/v1/tenant_service.ts';
import type { CallContext, Handlers } from '../../platform/grpc/handlers.ts';
import type { ConfigurationStore } from '../../ports/configuration-store.ts';
import { quotasFromWire, tenantToWire } from '../../wire/tenant-wire.ts';
import type { RequireAdministrator } from './administrator.ts';
import { decodePageToken, encodePageToken, pageSize } from './page-token.ts';
import { updateMask } from './update-mask.ts';
import { singleOutcome, validateRequestId, type Write } from './write-call.ts';

export type TenantHandlersOptions = {
  readonly write: Write;
  readonly store: ConfigurationStore;
  readonly requireAdministrator: RequireAdministrator;
};

/** TenantService over the writer and the store: for administrators only. */
export function tenantHandlers({
  write,
  store,
  requireAdministrator,
}: TenantHandlersOptions): Handlers<typeof TenantServiceService> {
  const change = async (
    mutation: TenantMutation,
    call: { requestId: string; validateOnly: boolean },
    context: CallContext,
  ) =>
    tenantReply(
      await write({ tenant: mutation.tenant, mutations: [mutation], byAdministrator: true, ...call }, context),
    );

  return {
    createTenant: async (request, context) => {
      requireAdministrator(context);
      const { tenant, value } = checkedTenant(request.tenant, request.requestId);
      return change({ kind: 'create_tenant', tenant, value }, callOf(request), context);
    },

    getTenant: async (request, context) => {
      requireAdministrator(context);
      const violations = new Violations();
      violations.name('tenant', request.tenant);
      violations.assertNone();
      const tenant = await store.getTenant(request.tenant);
      if (tenant === undefined) throw tenantNotFound(request.tenant);
      return { tenant: tenantToWire(tenant) };
    },

    listTenants: async (request, context) => {
      requireAdministrator(context);
      const violations = new Violations();
      const { showDeleted } = request;
      const size = pageSize(violations, request.pageSize);
      const token = decodePageToken(violations, request.pageToken, { question: [showDeleted], parts: 1 });
      violations.assertNone();
      const found = await store.listTenants(token?.[0] ?? '', { limit: size + 1, showDeleted });
      const tenants = found.slice(0, size);
      const last = tenants.at(-1);
      const more = found.length > size && last !== undefined;
      return {
        tenants: tenants.map(tenantToWire),
        nextPageToken: more ? encodePageToken([showDeleted], [last.tenant]) : '',
      };
    },

    updateTenant: async (request, context) => {
      requireAdministrator(context);
      const { tenant, value, mask } = checkedTenant(request.tenant, request.requestId, request.updateMask);
      const masked = {
        displayName: mask.has('display_name') ? value.displayName : undefined,
        quotas: mask.has('quotas') ? value.quotas : undefined,
      };
      return change(
        { kind: 'update_tenant', tenant, value: masked, etag: request.tenant?.etag ?? '' },
        callOf(request),
        context,
      );
    },

    deleteTenant: async (request, context) => {
      requireAdministrator(context);
      const { tenant, etag } = checkedName(request);
      return change({ kind: 'delete_tenant', tenant, etag }, callOf(request), context);
    },

    undeleteTenant: async (request, context) => {
      requireAdministrator(context);
      const { tenant, etag } = checkedName(request);
      return change({ kind: 'undelete_tenant', tenant, etag }, callOf(request), context);
    },
  };
}

type TenantMutation = Extract<Mutation, { readonly tenant: string }>;

function callOf({ requestId, validateOnly }: { requestId: string; validateOnly: boolean }): {
  requestId: string;
  validateOnly: boolean;
} {
  return { requestId, validateOnly };
}

function checkedTenant(
  wire: WireTenant | undefined,
  requestId: string,
  paths?: readonly string[],
): { tenant: string; value: TenantValue; mask: ReadonlySet<string> } {
  const violations = new Violations();
  const tenant = wire?.tenant ?? '';
  const value = { displayName: wire?.displayName ?? '', quotas: quotasFromWire(wire?.quotas) };
  validateTenant(violations, 'tenant', tenant, value);
  validateRequestId(violations, requestId);
  const mask = updateMask(violations, paths, ['display_name', 'quotas']);
  violations.assertNone();
  return { tenant, value, mask };
}

function checkedName(request: { tenant: string; etag: string; requestId: string }): { tenant: string; etag: string } {
  const violations = new Violations();
  violations.name('tenant', request.tenant);
  validateRequestId(violations, request.requestId);
  violations.assertNone();
  return { tenant: request.tenant, etag: request.etag };
}

function tenantReply(result: WriteResult) {
  const { outcome, change } = singleOutcome(result);
  if (outcome.subject.kind !== 'tenant') throw new Error('a tenant mutation with another outcome');
  return { tenant: tenantToWire(outcome.subject.after), change };
}
