import type { Dice } from './dice.ts';
import { Conversation } from './conversation.ts';
import { requestLists, trailerLists } from './vocabulary.ts';

const callsMax = 8;

/** Several calls between each other, each of them by the RFC: what a server must never blame its client for. */
export class ValidClient {
  readonly #says: Conversation;
  readonly #dice: Dice;
  readonly #left = new Map<number, Buffer>();
  #nextId = 1;

  constructor(dice: Dice) {
    this.#dice = dice;
    this.#says = new Conversation(dice);
  }

  settings(): Buffer {
    return this.#says.settings();
  }

  next(): Buffer {
    const dice = this.#dice;
    const mayOpen = this.#nextId < 2 * callsMax;
    if (mayOpen && (this.#nextId === 1 || this.#left.size === 0 || dice.chance(0.3))) return this.#open();
    if (this.#left.size === 0 || dice.chance(0.2)) return this.#says.aside(1 + 2 * dice.below((this.#nextId - 1) / 2));
    const [id, left] = dice.pick([...this.#left]);
    if (dice.chance(0.05)) return this.#over(id, this.#says.reset(id));
    if (left.length === 0 && dice.chance(0.5)) {
      if (dice.chance(0.3)) return this.#over(id, this.#says.headers(id, dice.pick(trailerLists), true));
      return this.#over(id, this.#says.data(id, left, true));
    }
    const part = this.#says.part(left);
    const isLast = part.length === left.length && dice.chance(0.7);
    this.#left.set(id, left.subarray(part.length));
    const bytes = this.#says.data(id, part, isLast);
    return isLast ? this.#over(id, bytes) : bytes;
  }

  #open(): Buffer {
    const id = this.#nextId;
    this.#nextId += 2;
    const isLast = this.#dice.chance(0.1);
    if (!isLast) this.#left.set(id, this.#says.body());
    return this.#says.headers(id, this.#dice.pick(requestLists), isLast);
  }

  #over(id: number, bytes: Buffer): Buffer {
    this.#left.delete(id);
    return bytes;
  }
}
