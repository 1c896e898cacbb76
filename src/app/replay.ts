import type { Change, ChangeSubject } from '../domain/change.ts';
import { DomainError } from '../domain/domain-error.ts';
import type { Mutation } from '../domain/mutation.ts';
import type { TenantView } from '../domain/tenant-view.ts';
import type { ChangeHistory } from '../ports/change-history.ts';
import type { CommitReply, ConfigurationStore } from '../ports/configuration-store.ts';
import { fingerprintOf, type Repetition, type WriteOutcome, type WriteResult } from './write-request.ts';

/** What a reply is rebuilt from. */
export type ReplayOptions = {
  readonly store: ConfigurationStore;
  readonly history: ChangeHistory;
  /** The tenant as memory has it, however far that is. */
  readonly view: TenantView;
};

/** The first reply again, rebuilt from the change log. Throws REQUEST_ID_REUSED when something else is asked now. */
export async function replay(options: ReplayOptions, request: Repetition, reply: CommitReply): Promise<WriteResult> {
  if (reply.fingerprint !== fingerprintOf(request)) {
    throw new DomainError(
      'REQUEST_ID_REUSED',
      `request id ${request.requestId} was used for another request in the last 24 hours`,
      {
        metadata: { request_id: request.requestId },
      },
    );
  }
  const { tenant, mutations } = request.transaction;
  // Revision 0: a policy that did not exist and still does not, in a rollback: nothing to show.
  const revisions = reply.outcomes.map((outcome) => outcome.revision).filter((revision) => revision > 0);
  const found = await options.store.changesAt(tenant, revisions);
  const changes = new Map(found.map((change) => [change.revision, change]));
  const outcomes: WriteOutcome[] = [];
  for (const [index, { revision, changed }] of reply.outcomes.entries()) {
    const change = changes.get(revision);
    if (changed) outcomes.push(ownOutcome(change, revision));
    else if (change !== undefined)
      outcomes.push({ subject: unchangedSubject(change.subject, reply.revision), change: undefined });
    else if (request.transaction.restoresFrom === undefined && revision > 0)
      outcomes.push({
        subject: await subjectBefore(options, mutations[index] as Mutation, { revision, at: reply.revision }),
        change: undefined,
      });
  }
  return { revision: reply.revision, outcomes };
}

/** Retention keeps changes for longer than replies. */
function ownOutcome(change: Change | undefined, revision: number): WriteOutcome {
  if (change !== undefined) return { subject: change.subject, change };
  throw new DomainError('INTERNAL', 'internal error', {
    cause: new Error(`change ${revision} of a stored reply is missing`),
  });
}

/**
 * A resource that a request found as it wanted it, where the change that had made it so has been removed since: as memory has it
 * while it is still the same, else as it was at the time of the request, which the log reaches.
 */
async function subjectBefore(
  { history, view }: ReplayOptions,
  mutation: Mutation,
  { revision, at }: { readonly revision: number; readonly at: number },
): Promise<ChangeSubject> {
  if ('tenant' in mutation) {
    const held = view.tenant?.ownRevision === revision ? view.tenant : undefined;
    const everything = { tenant: mutation.tenant, service: '', environment: '' };
    const after = { ...(held ?? (await history.groupAt(everything, at)).tenant), revision: at };
    return { kind: 'tenant', before: after, after };
  }
  const group = view.find(mutation.key.service, mutation.key.environment);
  if ('version' in mutation.key) {
    const held = group?.routes.get(mutation.key.version);
    const after = held?.revision === revision ? held : await history.routeAt(mutation.key, at);
    if (after === undefined) throw new Error(`a route of a stored reply was not there at revision ${at}`);
    return { kind: 'route', before: after, after };
  }
  const { key } = mutation;
  const after = group?.policy?.revision === revision ? group.policy : (await history.groupAt(key, at)).policy;
  return { kind: 'traffic_policy', key, before: after, after };
}

/** A resource as it was left when the tenant had reached a revision. */
function unchangedSubject(subject: ChangeSubject, revision: number): ChangeSubject {
  switch (subject.kind) {
    case 'route':
      return { ...subject, before: subject.after };
    case 'traffic_policy':
      return { ...subject, before: subject.after };
    case 'tenant': {
      const after = { ...subject.after, revision };
      return { ...subject, before: after, after };
    }
  }
}
