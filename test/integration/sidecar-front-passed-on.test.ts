import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createFront } from '../../sidecar/front/create-front.ts';
import { systemClock as clock } from '../../src/platform/clock.ts';
import { afterSockets as schedule } from '../../src/platform/turns.ts';
import { EchoServices } from '../fakes/sidecar-echo-services.ts';
import { FrontCaller, framesOf, type SpokenCall } from '../support/sidecar-wire/front-caller.ts';
import { calling, messageOf, passedOn } from '../support/sidecar-wire/spoken-calls.ts';

// What the front does not serve itself goes to a server behind it, the calls of all callers over one connection.

const waiting = passedOn(calling('Wait', [], [messageOf('')]));
const echo = passedOn(calling('Echo'));
const same = (bytes: Buffer): Buffer => bytes;
const unlimited = { 'grpc.max_receive_message_length': -1 };
const ok = { lists: [{ ':status': '200' }, { 'grpc-status': '0' }], reset: undefined };

let owned: AsyncDisposableStack;
let services: EchoServices;
let address: string;

beforeEach(async () => {
  owned = new AsyncDisposableStack();
  const front = owned.use(await createFront({ kind: 'wire', clock, schedule, drainMs: 0 }));
  services = new EchoServices();
  services.serve(front);
  address = await front.listen('127.0.0.1:0');
});
afterEach(async () => await owned.disposeAsync());

/** A caller of calls that are alike, the first of which has so many before it. */
async function call(caller: FrontCaller, spoken: SpokenCall, { before = 0, count = 1 } = {}): Promise<void> {
  const frames = Array.from({ length: count }, (_none, index) => framesOf(1 + 2 * (before + index), spoken)).flat();
  await caller.write([Buffer.concat(frames)]);
  expect(await caller.isAlive()).toBe(true);
}

const odd: Readonly<Record<string, SpokenCall>> = {
  'calls that are given up': passedOn(calling('Wait', [], [messageOf('')], 'cancel')),
  'calls without an authority': { ...echo, fields: echo.fields.filter(([name]) => name !== ':authority') },
  'paths that are none': {
    ...echo,
    fields: echo.fields.map(([name, value]) => [name, name === ':path' ? '-' : value]),
  },
  'empty frames': { ...echo, body: [Buffer.alloc(0), Buffer.alloc(0), ...echo.body] },
};

it.each(Object.entries(odd))('ends no call of another caller, whatever many callers say: %s', async (_name, spoken) => {
  using steady = await FrontCaller.open(address);
  await call(steady, waiting);
  await expect.poll(() => services.waiting).toBe(1);
  // Each within what it may; together more than `node:http2` takes on one connection.
  for (let callers = 0; callers < 4; callers++) {
    using caller = await FrontCaller.open(address);
    for (let before = 0; before < 400; before += 50) await call(caller, spoken, { before, count: 50 });
  }
  await call(steady, echo, { before: 1 });
  expect(await steady.heard(3)).toMatchObject(ok);
  await expect.poll(() => services.waiting).toBe(1);
});

it('passes on more than the windows of both sides hold, both ways', async () => {
  const client = owned.adopt(new Client(address, credentials.createInsecure(), unlimited), (each) => each.close());
  const message = Buffer.alloc(5_000_000, 0x61);
  const answer = await new Promise<Buffer | undefined>((resolve, reject) => {
    const ended = (error: ServiceError | null, value?: Buffer): void =>
      error === null ? resolve(value) : reject(error);
    client.makeUnaryRequest('/test.Passed/Echo', same, same, message, ended);
  });
  expect(answer?.equals(message)).toBe(true);
});

it('passes on as many calls at a time as there is memory for, and refuses the others, of the same caller', async () => {
  using greedy = await FrontCaller.open(address);
  const count = 2_500;
  for (let before = 0; before < count; before += 100) await call(greedy, waiting, { before, count: 100 });
  // 33 MiB at 16 KiB each.
  const refused = await greedy.heard(1 + 2 * 2_200);
  expect(refused.reset).toBe('REFUSED_STREAM');
  using other = await FrontCaller.open(address);
  await call(other, echo);
  expect(await other.heard(1)).toMatchObject(ok);
  expect(services.waiting).toBeLessThan(2_200);
  greedy[Symbol.dispose]();
  await expect.poll(() => services.waiting).toBe(0);
});
