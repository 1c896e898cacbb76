import type { Consistency, LiveState, Mutation, PolicyValue, Read, RouteValue, Work } from './operation.ts';

/** What a client knows when it decides what to do next. */
export type Known = {
  readonly random: () => number;
  /** The newest revision of the tenant that it has heard of. */
  readonly revision: number;
  /** Etags that the resource has had, oldest first. */
  readonly etagsOf: (path: string) => readonly string[];
};

// Few names and few values: most operations then meet something that others have left.
const services = ['cart', 'mail', 'pay'];
const environments = ['live', 'test'];
const versions = ['v1', 'RC.1', '2.0'];
const hosts = [['a'], ['b'], ['a', 'b'], ['c']];
const labels = ['', 'x', 'y'];
const splits = [[], ['v1=1'], ['v1=1', 'RC.1=3'], ['v1=0', '2.0=5']];

function drawMutation(known: Known): Mutation {
  const { random } = known;
  const path = drawPath(random);
  const group = drawGroup(random);
  const kind = pick(random, [
    ...Array<'create'>(5).fill('create'),
    ...Array<'update'>(8).fill('update'),
    ...(['activate', 'activate', 'deactivate', 'deactivate', 'delete', 'delete', 'undelete', 'undelete'] as const),
    ...(['set_policy', 'set_policy', 'set_policy', 'delete_policy'] as const),
  ]);
  switch (kind) {
    case 'create':
      return { kind, path, value: drawValue(random), state: drawState(random) };
    case 'update': {
      const mask = pick(random, ['endpoints', 'labels', 'both', 'both'] as const);
      const createAs = random() < 0.4 ? drawState(random) : undefined;
      return { kind, path, value: drawValue(random), mask, createAs, etag: drawEtag(known, path) };
    }
    case 'set_policy':
      return { kind, group, value: drawPolicy(random), etag: drawEtag(known, group) };
    case 'delete_policy':
      return { kind, group, etag: drawEtag(known, group) };
    case 'activate':
    case 'deactivate':
    case 'delete':
    case 'undelete':
      return { kind, path, etag: drawEtag(known, path) };
  }
}

export function drawWork(known: Known): Work {
  const { random } = known;
  const drawn = random();
  if (drawn < 0.78) return { kind: 'single', mutation: drawMutation(known) };
  if (drawn < 0.92) return drawBatch(known);
  if (drawn < 0.975) {
    const path = drawPath(random);
    return { kind: 'rollback_route', path, revision: drawRevision(known), etag: drawEtag(known, path) };
  }
  return { kind: 'rollback_tenant', revision: drawRevision(known), force: random() < 0.3 };
}

export function drawRead(known: Known): Read['what'] {
  const { random } = known;
  const drawn = random();
  if (drawn < 0.25) return { kind: 'get_route', path: drawPath(random) };
  if (drawn < 0.35) return { kind: 'get_policy', group: drawGroup(random) };
  if (drawn < 0.5) return { kind: 'list_routes', atRevision: random() < 0.5 ? drawRevision(known) : undefined };
  const kind = pick(random, ['eventual', 'strong', 'min_revision', 'min_revision', 'at_revision'] as const);
  const consistency: Consistency =
    kind === 'min_revision'
      ? { kind, revision: known.revision }
      : kind === 'at_revision'
        ? { kind, revision: drawRevision(known) }
        : { kind };
  return { kind: 'resolve', path: drawPath(random), consistency };
}

/** Mostly singles that are likely to be taken together; now and then one that is wrong, or one that deletes a lot. */
function drawBatch(known: Known): Work {
  const { random } = known;
  const force = random() < 0.2;
  if (random() < 0.2) {
    const kind = pick(random, ['deactivate', 'delete', 'activate', 'undelete'] as const);
    const paths = new Set(Array.from({ length: 6 }, () => drawPath(random)));
    return { kind: 'batch', force, mutations: [...paths].map((path) => ({ kind, path, etag: '' })) };
  }
  const gentle = random() < 0.8;
  const mutations = Array.from({ length: 1 + Math.floor(random() * 6) }, (): Mutation => {
    if (!gentle) return drawMutation(known);
    const value = drawValue(random);
    return { kind: 'update', path: drawPath(random), value, mask: 'both', createAs: drawState(random), etag: '' };
  });
  if (random() < 0.05) {
    mutations.push({ kind: 'create', path: drawPath(random), value: { hosts: [], label: '' }, state: 'ACTIVE' });
  }
  return { kind: 'batch', mutations, force };
}

export function pick<Item>(random: () => number, items: readonly Item[]): Item {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new Error('nothing to pick from');
  return item;
}

function drawGroup(random: () => number): string {
  return `${pick(random, services)}/${pick(random, environments)}`;
}

function drawPath(random: () => number): string {
  return `${drawGroup(random)}/${pick(random, versions)}`;
}

function drawValue(random: () => number): RouteValue {
  return { hosts: pick(random, hosts), label: pick(random, labels) };
}

function drawPolicy(random: () => number): PolicyValue {
  const split = pick(random, splits);
  return { defaultVersion: pick(random, split.length === 0 ? versions : ['', ...versions]), split };
}

function drawState(random: () => number): LiveState {
  return random() < 0.75 ? 'ACTIVE' : 'INACTIVE';
}

/** None mostly; else the newest that is known, or an older one. */
function drawEtag({ random, etagsOf }: Known, path: string): string {
  if (random() < 0.65) return '';
  const known = etagsOf(path);
  return random() < 0.7 ? (known.at(-1) ?? 'never-seen') : (known.at(-2) ?? 'never-seen');
}

/** Most often of a moment ago; sometimes one that is not reached yet. */
function drawRevision({ random, revision }: Known): number {
  if (random() < 0.05) return revision + 1_000_000;
  if (random() < 0.6) return Math.max(1, revision - Math.floor(random() * 12));
  return 1 + Math.floor(random() * revision);
}
