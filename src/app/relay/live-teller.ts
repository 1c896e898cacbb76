import type { ChangeWindow } from '../../domain/change-window.ts';
import { Doorbell } from '../../platform/doorbell.ts';
import type { ChangeStream } from '../../ports/change-stream.ts';
import type { TenantReplica } from '../tenant-replica.ts';
import type { Leadership } from './leadership.ts';
import { relayLimits } from './limits.ts';
import { beaconOf } from './stream-meta.ts';

/** In whose name something is told. */
export type Voice = { readonly epoch: string; readonly term: number };

/** Tells a tenant's changes as they commit; what comes while the server takes the last ones is told together. */
export class LiveTeller {
  readonly #tenant: TenantReplica;
  readonly #stream: ChangeStream;
  readonly #leadership: Leadership;
  readonly #doorbell = new Doorbell();
  /** Whom it speaks for; undefined: it is silent. */
  #voice: Voice | undefined;
  #window: ChangeWindow | undefined;
  #told = 0;

  constructor(tenant: TenantReplica, { stream, leadership }: { stream: ChangeStream; leadership: Leadership }) {
    this.#tenant = tenant;
    this.#stream = stream;
    this.#leadership = leadership;
  }

  /** Speaks from now on, of what came after a revision. Going on in the same voice, it tells nothing twice. */
  speak(voice: Voice, after: number): void {
    const goesOn = this.#voice?.epoch === voice.epoch && this.#window === this.#tenant.window;
    if (!goesOn || this.#told < after) this.#told = after;
    this.#voice = { epoch: voice.epoch, term: voice.term };
    this.#window = this.#tenant.window;
    this.wake();
  }

  /** As whom it speaks now; undefined: this replica does not lead, or the tenant's history is not the one it spoke of. */
  get voice(): Voice | undefined {
    const voice = this.#voice;
    return voice?.term === this.#leadership.term && this.#window === this.#tenant.window ? voice : undefined;
  }

  wake(): void {
    this.#doorbell.ring();
  }

  /** Says where the tenant is, unless changes are about to say so. */
  beacon(): void {
    const { voice } = this;
    if (voice !== undefined && this.#told === this.#tenant.position.revision)
      this.#stream.tell(this.#tenant.tenant, beaconOf(this.#tenant, voice));
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#doorbell.heard(signal);
      while (!signal.aborted && this.#tellNext()) {
        // What is lost is found out by those who listen, and taken from the stream.
        await this.#stream.told().catch(() => {});
      }
    }
  }

  /** False: there is nothing to tell. */
  #tellNext(): boolean {
    const { tenant, position, window, state } = this.#tenant;
    const { voice } = this;
    // Another history is told when the stream has it, under another epoch.
    if (voice === undefined || this.#told === position.revision) return false;
    const after = this.#told;
    this.#told = position.revision;
    const units = [...window.unitsAfter(after)];
    const changes = units.reduce((total, unit) => total + unit.entries.length, 0);
    if (!window.reaches(after) || changes > relayLimits.toldChangesMax) {
      this.#stream.tell(tenant, beaconOf(this.#tenant, voice));
    } else {
      this.#stream.tell(tenant, {
        ...voice,
        after,
        position,
        digest: state.digest.toString(),
        changes: units.flatMap((unit) => unit.entries.map(({ change }) => change)),
      });
    }
    return true;
  }
}
