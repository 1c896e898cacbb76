import { randomUUID } from 'node:crypto';

/** Chance as an argument: programs pass {@link systemRandom}, tests a seeded one. */
export type Random = () => number;

export const systemRandom: Random = Math.random;

/**
 * A new id, 16 hexadecimal digits (64 random bits). Of a UUID, those digits that are not fixed: Node draws the randomness of 128
 * UUIDs at once, where 8 bytes of their own cost a system call (3 % of a write).
 */
export function newId(): string {
  const uuid = randomUUID();
  return uuid.slice(0, 8) + uuid.slice(28);
}
