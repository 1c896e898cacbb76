import { createConnection } from 'node:net';
import { errorNameOf } from '../../../sidecar/wire/error-code.ts';
import { clientPreface, frameTypes } from '../../../sidecar/wire/frame.ts';
import { frame, FrameSplitter, settingsPayload } from '../../support/sidecar-wire/frames.ts';
import { attackerConnections, attacks, type Attack } from './attacks.ts';

// BENCH_ATTACK on BENCH_ADDRESS, from some connections that come back whenever they are closed, until asked what came of it.
const attack = attacks.find(({ name }) => name === process.env['BENCH_ATTACK']);
const [host = '', port = ''] = (process.env['BENCH_ADDRESS'] ?? '').split(':');
const codes: Record<string, number> = {};
if (attack === undefined) throw new Error('there is no such attack');

for (let index = 0; index < (attack.connections ?? attackerConnections); index++) void keepAttacking(attack);
process.send?.({ address: `${host}:${port}` });
process.on('message', () => process.send?.(codes));
process.once('disconnect', () => process.exit(0));

async function keepAttacking(of: Attack): Promise<void> {
  for (;;) {
    const code = await attackOnce(of);
    codes[code] = (codes[code] ?? 0) + 1;
  }
}

/** One connection until it is closed; the code of its GOAWAY. */
function attackOnce({ settings = [], first, again, reads }: Attack): Promise<string> {
  return new Promise((resolve) => {
    const socket = createConnection({ host, port: Number(port), noDelay: true });
    const splitter = new FrameSplitter();
    let index = 0;
    const send = (): void => {
      for (let count = 0; count < 20 && again !== undefined && socket.writable; count++) {
        const bytes = again(index++);
        // It has said all.
        if (bytes === undefined) return;
        if (!socket.write(bytes)) return void socket.once('drain', () => setImmediate(send));
      }
      if (again !== undefined && !socket.destroyed) setImmediate(send);
    };
    socket.on('connect', () => {
      const isHalf = first !== undefined && again === undefined;
      const hello = Buffer.concat([clientPreface, frame(frameTypes.SETTINGS, 0, 0, settingsPayload(...settings))]);
      if (!isHalf) socket.write(hello);
      if (first !== undefined) socket.write(first);
      send();
    });
    if (reads) socket.on('data', (chunk: Buffer) => splitter.push(chunk));
    socket.on('error', () => {});
    socket.on('close', () => {
      const goAway = splitter.frames.find(({ type }) => type === frameTypes.GOAWAY);
      resolve(goAway === undefined ? 'closed' : errorNameOf(goAway.payload.readUInt32BE(4)));
    });
  });
}
