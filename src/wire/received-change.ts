import type { Change, ChangeAction, ChangeSubject } from '../domain/change.ts';
import type { Route } from '../domain/route.ts';
import { ChangeAction as WireAction, Change as WireChange } from '../gen/trafficmanager/v1/change.ts';
import { Route as WireRoute } from '../gen/trafficmanager/v1/route.ts';
import { actionFromWire, changeFromWire } from './change-wire.ts';
import { FieldWalk } from './field-walk.ts';
import { ReceivedRoute } from './received-route.ts';
import { routeFromWire } from './route-wire.ts';

/** Fields of a Change by their tags, and of the RouteChange in it, in change.proto. */
const changeTag = {
  tenant: 0x0a,
  revision: 0x10,
  commitRevision: 0x18,
  commitId: 0x22,
  action: 0x28,
  route: 0x52,
} as const;
const routeChangeTag = { before: 0x0a, after: 0x12 } as const;

type Bytes = { readonly bytes: Buffer; readonly start: number; readonly end: number };

/** What is read of a change of a route at once. */
type Head = Pick<Change, 'tenant' | 'revision' | 'commitRevision' | 'commitId' | 'action'> & {
  readonly route: Bytes;
};

/** What it takes besides its bytes: itself, its place in a window, and its names. */
const objectBytes = 600;

/**
 * A change from the bytes in which another process sent it, which stay as they are. Throws as {@link changeFromWire} does. What is rare
 * (a change of a policy or of the tenant) is decoded at once.
 */
export function receiveChange(bytes: Buffer, start: number, end: number): Change {
  const head = readHead(bytes, start, end);
  if (head === undefined) return changeFromWire(WireChange.decode(bytes.subarray(start, end)));
  return new ReceivedChange({ bytes, start, end }, head);
}

/**
 * A change of a route that is kept as its bytes. A window keeps 1,000 changes of a tenant, each for as long as it takes the next 1,000 to
 * come. As objects, some 60 of them, they outlived the young generation: at 1,000 changes/s copying them out of it was most of what its
 * collections took.
 */
export class ReceivedChange implements Change {
  readonly tenant: string;
  readonly revision: number;
  readonly commitRevision: number;
  readonly commitId: string;
  readonly action: ChangeAction;
  readonly #place: Bytes;
  readonly #route: Bytes;
  #fresh: ChangeSubject | undefined;

  constructor(place: Bytes, { tenant, revision, commitRevision, commitId, action, route }: Head) {
    this.tenant = tenant;
    this.revision = revision;
    this.commitRevision = commitRevision;
    this.commitId = commitId;
    this.action = action;
    this.#place = place;
    this.#route = route;
    this.#fresh = new ReceivedRouteSubject(route);
  }

  /** One object until the change {@link settle}s, then another one each time. */
  get subject(): ChangeSubject {
    return this.#fresh ?? new ReceivedRouteSubject(this.#route);
  }

  /** Lets go of all but its bytes. */
  settle(): void {
    this.#fresh = undefined;
  }

  get heldBytes(): number {
    return objectBytes + this.#place.end - this.#place.start;
  }

  get actor(): string {
    return this.#decoded().actor;
  }

  get correlationId(): string {
    return this.#decoded().correlationId;
  }

  get commitTimeMs(): number {
    return this.#decoded().commitTimeMs;
  }

  /** As it came. */
  get encoded(): Buffer {
    const { bytes, start, end } = this.#place;
    return bytes.subarray(start, end);
  }

  #decoded(): Change {
    return changeFromWire(WireChange.decode(this.encoded));
  }
}

class ReceivedRouteSubject {
  readonly kind = 'route';
  readonly after: Route;
  readonly #before: Bytes | undefined;

  constructor({ bytes, start, end }: Bytes) {
    let after: Route | undefined;
    const walk = new FieldWalk(bytes, start, end);
    while (walk.next()) {
      if (walk.tag === routeChangeTag.before) this.#before = { bytes, start: walk.start, end: walk.end };
      else if (walk.tag === routeChangeTag.after) after = new ReceivedRoute(bytes, walk.start, walk.end);
    }
    if (after === undefined) throw new Error('a change has no route');
    this.after = after;
  }

  /** Nobody who only keeps what is asks for it. */
  get before(): Route | undefined {
    if (this.#before === undefined) return undefined;
    const { bytes, start, end } = this.#before;
    return routeFromWire(WireRoute.decode(bytes.subarray(start, end)));
  }
}

/** Undefined: it is none of a route, or none that this program knows. */
function readHead(bytes: Buffer, start: number, end: number): Head | undefined {
  let [tenant, commitId] = ['', ''];
  let [revision, commitRevision] = [0, 0];
  let action: WireAction = WireAction.CHANGE_ACTION_UNSPECIFIED;
  let route: Bytes | undefined;
  const walk = new FieldWalk(bytes, start, end);
  while (walk.next())
    switch (walk.tag) {
      case changeTag.tenant:
        tenant = walk.text();
        break;
      case changeTag.revision:
        revision = walk.number();
        break;
      case changeTag.commitRevision:
        commitRevision = walk.number();
        break;
      case changeTag.commitId:
        commitId = walk.text();
        break;
      case changeTag.action:
        action = walk.number() as WireAction;
        break;
      case changeTag.route:
        route = { bytes, start: walk.start, end: walk.end };
        break;
      default:
        break;
    }
  const known = actionFromWire(action);
  if (known === undefined || route === undefined) return undefined;
  return { tenant, revision, commitRevision, commitId, action: known, route };
}
