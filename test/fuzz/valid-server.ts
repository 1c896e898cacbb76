import type { Dice } from './dice.ts';
import { Conversation } from './conversation.ts';
import type { Overheard } from './overheard.ts';
import { informationalLists, onlyLists, responseLists, statusLists } from './vocabulary.ts';

const nothing = Buffer.alloc(0);

/** Answers to the calls that a client of ours has made so far, by the RFC: what that client must never blame its server for. */
export class ValidServer {
  readonly #says: Conversation;
  readonly #dice: Dice;
  readonly #client: Overheard;
  /** What is left of the bodies that have begun. */
  readonly #left = new Map<number, Buffer>();

  constructor(dice: Dice, client: Overheard) {
    this.#dice = dice;
    this.#client = client;
    this.#says = new Conversation(dice);
  }

  settings(): Buffer {
    return this.#says.settings();
  }

  next(): Buffer {
    const dice = this.#dice;
    const { open } = this.#client;
    // Nothing has been asked yet.
    if (open.length === 0) return dice.chance(0.1) ? this.#says.settings() : nothing;
    const id = dice.pick(open);
    if (dice.chance(0.15)) return this.#says.aside(id);
    if (dice.chance(0.03)) return this.#over(id, this.#says.reset(id));
    const left = this.#left.get(id);
    if (left === undefined) return this.#begin(id);
    if (left.length === 0 && dice.chance(0.7))
      return this.#over(id, this.#says.headers(id, dice.pick(statusLists), true));
    const part = this.#says.part(left);
    this.#left.set(id, left.subarray(part.length));
    return this.#says.data(id, part, false);
  }

  #begin(id: number): Buffer {
    const dice = this.#dice;
    if (dice.chance(0.1)) return this.#says.headers(id, dice.pick(informationalLists), false);
    if (dice.chance(0.2)) return this.#over(id, this.#says.headers(id, dice.pick(onlyLists), true));
    this.#left.set(id, this.#says.body());
    return this.#says.headers(id, dice.pick(responseLists), false);
  }

  #over(id: number, bytes: Buffer): Buffer {
    this.#left.delete(id);
    this.#client.done(id);
    return bytes;
  }
}
