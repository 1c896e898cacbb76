import { resourceOf, type ChangeSubject } from '../domain/change.ts';

/** Names on NATS. Names of tenants, services and environments are DNS labels, so each is one token; a version may have dots, and comes last. */

/** The JetStream stream of a tenant. */
export function streamName(tenant: string): string {
  return `TM_${tenant}`;
}

/** What a tenant's stream takes in: its changes and its meta, but not what is only told live. */
export function streamSubjects(tenant: string): string[] {
  return [`tm.v1.${tenant}.route.>`, `tm.v1.${tenant}.policy.>`, metaSubject(tenant)];
}

/** Of the newest change of a route or policy. A tenant's own changes have no subject: its meta has what it is. */
export function changeSubject(tenant: string, subject: Exclude<ChangeSubject, { kind: 'tenant' }>): string {
  const kind = subject.kind === 'route' ? 'route' : 'policy';
  return `tm.v1.${tenant}.${kind}.${resourceOf(subject).replaceAll('/', '.')}`;
}

export function metaSubject(tenant: string): string {
  return `tm.v1.${tenant}.meta`;
}

/** Updates as they commit: core NATS, kept nowhere. */
export function liveSubject(tenant: string): string {
  return `tm.v1.${tenant}.live`;
}

/** Requests to the relay for where a tenant is. */
export function askSubject(tenant: string): string {
  return `tm.v1.${tenant}.ask`;
}

/** Requests for any tenant: what the relay subscribes to. */
export const anyAskSubject = 'tm.v1.*.ask';

/** The tenant of a subject. */
export function tenantOfSubject(subject: string): string {
  return subject.split('.')[2] ?? '';
}
