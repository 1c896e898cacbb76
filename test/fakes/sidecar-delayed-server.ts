import type { SidecarHistory } from './sidecar-history.ts';
import type { FakeClock } from './fake-clock.ts';
import { rangeOf } from './sidecar-history.ts';
import type { ScriptedQuestion, ScriptedStream, ScriptedWatch } from './sidecar-scripted-watch.ts';
import type { ChangeRange, HeldSnapshot } from '../../sidecar/snapshot/tenant-memory.ts';
import type { Position } from '../../src/domain/change.ts';
import type { Mutation } from '../../src/domain/mutation.ts';
import type { GetPositionResponse, WatchResponse } from '../../src/gen/trafficmanager/v1/watch_service.ts';
import { changeToWire } from '../../src/wire/change-wire.ts';
import { routeToWire } from '../../src/wire/route-wire.ts';
import { policyToWire } from '../../src/wire/traffic-policy-wire.ts';

type Commit = { readonly atMs: number; readonly range: ChangeRange; readonly snapshot: HeldSnapshot };

/**
 * A control plane and the network to it. What is committed reaches the server's memory when the test says so, and so does every
 * question, every answer and every message of a stream reach the other side: as late as the test likes.
 */
export class DelayedServer {
  readonly #history: SidecarHistory;
  readonly #clock: FakeClock;
  readonly #network: ScriptedWatch;
  readonly #commits: Commit[] = [];
  #known = 0;
  #verifiedAtMs = 0;
  #opened = 0;
  #stream: { readonly call: ScriptedStream; told: number } | undefined;
  #underWay: { readonly call: ScriptedStream; readonly message: WatchResponse }[] = [];
  #answer: { readonly question: ScriptedQuestion; readonly response: GetPositionResponse } | undefined;

  constructor(history: SidecarHistory, clock: FakeClock, network: ScriptedWatch) {
    this.#history = history;
    this.#clock = clock;
    this.#network = network;
  }

  commit(mutation: Mutation): void {
    const changes = this.#history.commit(mutation);
    if (changes.length === 0) return;
    const range = rangeOf(changes);
    this.#commits.push({ atMs: this.#clock.monotonicMs(), range, snapshot: this.#history.snapshot() });
  }

  /** How long it has not been all there is, of whoever holds this revision, ms. */
  ageMs(revision: number): number {
    const missing = this.#commits.find(({ range }) => range.position.revision > revision);
    return missing === undefined ? 0 : this.#clock.monotonicMs() - missing.atMs;
  }

  /** One more commit reaches the server's memory, and sets out to the watcher; it does not know that this is all. */
  learnOne(): void {
    this.#known = Math.min(this.#known + 1, this.#commits.length);
    this.#tell();
  }

  /** The server's memory is certainly all there is now. */
  learnAll(): void {
    this.#known = this.#commits.length;
    this.#verifiedAtMs = this.#clock.monotonicMs();
    this.#tell();
  }

  /** A Watch that was asked for reaches the server. */
  accept(): void {
    const call = this.#network.streams[this.#opened];
    if (call === undefined || this.#known === 0) return;
    this.#opened++;
    const { afterRevision } = call.request;
    const after = this.#commits.findIndex(({ range }) => range.position.revision > Number(afterRevision));
    const told = after === -1 ? this.#known : Math.min(after, this.#known);
    this.#stream = { call, told: afterRevision === undefined ? this.#known : told };
    if (afterRevision === undefined) this.#send(this.#snapshot());
    this.#tell();
  }

  progress(): void {
    if (this.#stream !== undefined) this.#send({ $case: 'progress', value: {} });
  }

  /** The oldest message of the stream arrives. */
  async deliver(): Promise<void> {
    const [first] = this.#underWay.splice(0, 1);
    await first?.call.send(first.message);
  }

  /** The question that was asked reaches the server, and the answer sets out. */
  serve(): void {
    const [question] = this.#network.questions;
    if (question === undefined || this.#answer?.question === question || this.#known === 0) return;
    const { revision, commitId } = this.#position;
    this.#answer = { question, response: { revision: BigInt(revision), commitId, stalenessMs: this.#stalenessMs } };
  }

  /** The answer arrives. */
  answer(): void {
    this.#answer?.question.answer(this.#answer.response);
    this.#answer = undefined;
  }

  loseQuestion(): void {
    this.#network.questions[0]?.fail(new Error('lost'));
  }

  /** Connections break, and what was under way is lost. */
  cut(): void {
    this.#stream?.call.end(new Error('broken'));
    this.#stream = undefined;
    this.#underWay = [];
    this.loseQuestion();
  }

  get isDone(): boolean {
    return this.#underWay.length === 0;
  }

  get #position(): Position {
    const last = this.#commits[this.#known - 1];
    if (last === undefined) throw new Error('it knows of nothing');
    return last.range.position;
  }

  get #stalenessMs(): bigint {
    return BigInt(Math.ceil(this.#clock.monotonicMs() - this.#verifiedAtMs));
  }

  #tell(): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    while (stream.told < this.#known) {
      const { range } = this.#commits[stream.told++] as Commit;
      const value = { changes: range.changes.map(changeToWire), continued: false, coalescedAfter: undefined };
      this.#send({ $case: 'changeBatch', value }, range.position, stream.told === this.#known);
    }
  }

  #snapshot(): NonNullable<WatchResponse['event']> {
    const { routes, policies } = (this.#commits[this.#known - 1] as Commit).snapshot;
    const value = { routes: routes.map(routeToWire), trafficPolicies: policies.map(policyToWire), last: true };
    return { $case: 'snapshotChunk', value };
  }

  #send(event: NonNullable<WatchResponse['event']>, position = this.#position, isNewest = true): void {
    const { revision, commitId } = position;
    const stalenessMs = isNewest ? this.#stalenessMs : undefined;
    if (this.#stream === undefined) throw new Error('somebody watches');
    this.#underWay.push({
      call: this.#stream.call,
      message: { revision: BigInt(revision), commitId, event, stalenessMs },
    });
  }
}
