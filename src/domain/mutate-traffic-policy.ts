import { DomainError } from './domain-error.ts';
import { checkEtag, provenance, type Authorship, type Evaluation, type MutationOf as Of } from './mutation.ts';
import { etagOf } from './route.ts';
import type { WritableView } from './tenant-view.ts';
import {
  canonicalTrafficPolicyValue,
  trafficPolicyName,
  type TrafficPolicy,
  type TrafficPolicyKey,
} from './traffic-policy.ts';

export function setTrafficPolicy(
  view: WritableView,
  { key, value, etag }: Of<'set_traffic_policy'>,
  author: Authorship,
): Evaluation {
  const before = findPolicy(view, key);
  checkEtag(trafficPolicyName(key), { wanted: etag, found: before?.etag ?? '' });
  const canonical = canonicalTrafficPolicyValue(value);
  if (before !== undefined && canonicalTrafficPolicyValue(before) === canonical) {
    return { kind: 'unchanged', subject: { kind: 'traffic_policy', key, before, after: before } };
  }
  const after: TrafficPolicy = {
    key,
    ...value,
    ...provenance(etagOf(canonical, author.revision), before?.createTimeMs ?? 0, author),
  };
  const action = before === undefined ? 'CREATED' : 'UPDATED';
  return { kind: 'change', intent: { action, subject: { kind: 'traffic_policy', key, before, after } } };
}

export function deleteTrafficPolicy(
  view: WritableView,
  { key, etag }: Of<'delete_traffic_policy'>,
  _author: Authorship,
): Evaluation {
  const before = findPolicy(view, key);
  const name = trafficPolicyName(key);
  if (before === undefined) {
    throw new DomainError('TRAFFIC_POLICY_NOT_FOUND', `there is no traffic policy of ${name}`, {
      metadata: { policy: name },
      resource: { type: 'TrafficPolicy', name, tenant: key.tenant },
    });
  }
  checkEtag(name, { wanted: etag, found: before.etag });
  return {
    kind: 'change',
    intent: { action: 'DELETED', subject: { kind: 'traffic_policy', key, before, after: undefined } },
  };
}

export function restoreTrafficPolicy(
  view: WritableView,
  { key, value }: Of<'restore_traffic_policy'>,
  author: Authorship,
): Evaluation {
  if (value !== undefined) return setTrafficPolicy(view, { kind: 'set_traffic_policy', key, value, etag: '' }, author);
  const before = findPolicy(view, key);
  if (before === undefined)
    return { kind: 'unchanged', subject: { kind: 'traffic_policy', key, before, after: before } };
  return deleteTrafficPolicy(view, { kind: 'delete_traffic_policy', key, etag: '' }, author);
}

function findPolicy(view: WritableView, key: TrafficPolicyKey): TrafficPolicy | undefined {
  return view.find(key.service, key.environment)?.policy;
}
