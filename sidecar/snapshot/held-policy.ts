import type { TrafficPolicy } from '../../src/domain/traffic-policy.ts';
import { decodeAnswer } from '../../src/wire/resolve-wire.ts';
import { policyIn } from './group-block.ts';
import { bytesOfPolicy } from './policy-bytes.ts';

/**
 * A policy of a group: its bytes are in the group's block, and its objects are made when a lookup first needs them and kept from
 * then on, with the regexes that are compiled for them. Groups that follow each other share it for as long as it stands.
 */
export class HeldPolicy {
  /** What it takes at most: as if its objects and all its regexes were in use. */
  readonly bytes: number;
  #decoded: TrafficPolicy | undefined;

  constructor(bytes: number) {
    this.bytes = bytes;
  }

  static of(policy: TrafficPolicy): HeldPolicy {
    return new HeldPolicy(bytesOfPolicy(policy));
  }

  /** The policy, from the block of its group. */
  in(block: Buffer, start: number): TrafficPolicy | undefined {
    if (this.#decoded === undefined) {
      const span = policyIn(block, start);
      this.#decoded = span && decodeAnswer(block.subarray(span.start, span.end)).policy;
    }
    return this.#decoded;
  }
}
