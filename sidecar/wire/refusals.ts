import type { Duplex } from 'node:stream';
import type { Alarm, AlarmClock } from './alarm.ts';
import { errorCodes } from './error-code.ts';
import { frameHeaderBytes, frameTypes, writeUint32 } from './frame.ts';
import type { WireLimits } from './limits.ts';

/** What a server says to a client for which it has no place: its SETTINGS, which must come first, and a GOAWAY. */
const lastWords = Buffer.concat([
  frame(frameTypes.SETTINGS, Buffer.alloc(0)),
  frame(frameTypes.GOAWAY, goAway('the server has as many connections as it takes')),
]);

export type RefusalsOptions = {
  readonly clock: AlarmClock;
  readonly limits: WireLimits;
  /** Told of the first, the second, the fourth, the eighth, and so on: a flood must not become one of its reports. */
  readonly onRefused?: ((count: number) => void) | undefined;
};

/** Turns sockets away: none of them gets a connection, and each is closed within a moment, whatever its client does. */
export class Refusals {
  readonly #options: RefusalsOptions;
  #leaving = 0;
  #count = 0;

  constructor(options: RefusalsOptions) {
    this.#options = options;
  }

  /** How many there have been. */
  get count(): number {
    return this.#count;
  }

  refuse(socket: Duplex): void {
    const { clock, limits, onRefused } = this.#options;
    this.#count++;
    if (Number.isInteger(Math.log2(this.#count))) onRefused?.(this.#count);
    socket.on('error', () => {});
    if (this.#leaving >= limits.connectionsRefusedMax) return void socket.destroy();
    this.#leaving++;
    const alarm: Alarm = { dueMs: 0, ring: () => socket.destroy() };
    socket.on('close', () => {
      this.#leaving--;
      clock.disarm(alarm);
    });
    // Closed with unread bytes, the kernel would reset the connection, and the client might never see why.
    socket.resume();
    socket.end(lastWords);
    clock.arm(alarm, clock.monotonicMs() + limits.goAwayMs);
  }
}

function goAway(reason: string): Buffer {
  const payload = Buffer.alloc(8 + reason.length);
  writeUint32(payload, 4, errorCodes.ENHANCE_YOUR_CALM);
  payload.write(reason, 8);
  return payload;
}

function frame(type: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(frameHeaderBytes);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  return Buffer.concat([header, payload]);
}
