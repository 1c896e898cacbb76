import { setTimeout as delay } from 'node:timers/promises';
import { connect } from 'nats';
import { streamName } from '../../../src/wire/stream-subjects.ts';
import { pick } from '../model/draw-operation.ts';
import type { Actor } from './actor.ts';
import type { Committed } from './check-observations.ts';
import type { Stage } from './stage.ts';
import type { TcpProxy, Weather } from './tcp-proxy.ts';
import { backUpDatabase, readCommitted, restoreDatabase } from './truth.ts';
import type { Writer } from './writer.ts';

/** What a fault is made with. */
export type FaultSetting = {
  readonly stage: Stage;
  readonly writer: Writer;
  readonly random: () => number;
  /** What was committed, and will be gone. */
  readonly onLost: (committed: readonly Committed[]) => void;
};

/** Breaks something and mends it again. */
export type Fault = (setting: FaultSetting) => Promise<void>;

const between = async (random: () => number, fromMs: number, toMs: number): Promise<void> =>
  await delay(fromMs + random() * (toMs - fromMs));

/** Lets writes go on until so many more were acknowledged, for some seconds at most. */
async function moreWrites(writer: Writer, count: number): Promise<void> {
  const { acknowledged } = writer;
  for (let attempt = 0; attempt < 200 && writer.acknowledged < acknowledged + count; attempt++) await delay(20);
}

/** Each control plane, one after the other: one of them is the relay's leader. */
function eachControlPlane(fault: (actor: Actor, setting: FaultSetting) => Promise<void>): Fault {
  return async (setting) => {
    for (const actor of setting.stage.controlPlanes) await fault(actor, setting);
  };
}

function badWeather(weather: Weather, proxiesOf: (setting: FaultSetting) => readonly TcpProxy[]): Fault {
  return async (setting) => {
    const proxies = proxiesOf(setting);
    for (const proxy of proxies) proxy.set(weather);
    await between(setting.random, 1_000, 4_000);
    for (const proxy of proxies) proxy.set({ kind: 'fair' });
  };
}

const sidecarNetwork = ({ stage, random }: FaultSetting): readonly TcpProxy[] => pick(random, stage.sidecars).networks;
const relayNatsNetworks = ({ stage }: FaultSetting): readonly TcpProxy[] =>
  stage.controlPlanes.flatMap(({ networks }) => networks.slice(0, 1));
const databaseNetworks = ({ stage }: FaultSetting): readonly TcpProxy[] =>
  stage.controlPlanes.flatMap(({ networks }) => networks.slice(1));
const everyNetwork = ({ stage }: FaultSetting): readonly TcpProxy[] =>
  [...stage.controlPlanes, ...stage.sidecars].flatMap(({ networks }) => networks);

/** By name, in the order in which each is made once. */
export const faults: Readonly<Record<string, Fault>> = {
  'a control plane is killed': eachControlPlane(async (actor, { random }) => {
    await actor.kill();
    await between(random, 0, 2_000);
    await actor.start();
  }),
  'a leader is frozen, and wakes up': eachControlPlane(async (actor, { random }) => {
    actor.freeze();
    await between(random, 1_500, 4_000);
    actor.thaw();
  }),
  'both control planes are killed': async ({ stage, random }) => {
    await Promise.all(stage.controlPlanes.map(async (actor) => await actor.kill()));
    await between(random, 0, 3_000);
    await Promise.all(stage.controlPlanes.map(async (actor) => await actor.start()));
  },
  'Postgres is killed': async ({ stage, random }) => {
    await stage.postgres.crash();
    await between(random, 0, 2_000);
    await stage.postgres.start();
  },
  'Postgres is frozen': async ({ stage, random }) => {
    await stage.postgres.freeze();
    await between(random, 500, 3_000);
    await stage.postgres.thaw();
  },
  'NATS is killed': async ({ stage, random }) => {
    await stage.nats.crash();
    await between(random, 0, 3_000);
    await stage.nats.start();
  },
  'NATS is restarted': async ({ stage }) => {
    await stage.nats.stop();
    await stage.nats.start();
  },
  'NATS is frozen': async ({ stage, random }) => {
    stage.nats.freeze();
    await between(random, 500, 4_000);
    stage.nats.thaw();
  },
  'the store of NATS is wiped': async ({ stage, random }) => {
    await stage.nats.crash();
    await stage.nats.wipe();
    await between(random, 0, 1_000);
    await stage.nats.start();
  },
  'NATS is restored from an older copy': async ({ stage, writer, random }) => {
    await stage.nats.stop();
    const copy = await stage.nats.copyStore();
    await stage.nats.start();
    await moreWrites(writer, 20);
    await between(random, 500, 1_500);
    await stage.nats.crash();
    await stage.nats.restoreStore(copy);
    await stage.nats.start();
  },
  'NATS is restored from a copy of an earlier epoch while nobody leads': async ({ stage, writer, random }) => {
    await stage.nats.stop();
    const copy = await stage.nats.copyStore();
    await stage.nats.wipe();
    await stage.nats.start();
    await moreWrites(writer, 40);
    await between(random, 1_000, 2_000);
    await Promise.all(stage.controlPlanes.map(async (actor) => await actor.kill()));
    await stage.nats.crash();
    await stage.nats.restoreStore(copy);
    await stage.nats.start();
    await between(random, 2_000, 4_000);
    await Promise.all(stage.controlPlanes.map(async (actor) => await actor.start()));
  },
  'a stream is deleted under its consumers': async ({ stage, random }) => {
    const connection = await connect({ servers: stage.nats.url.replace('nats://', '') });
    const manager = await connection.jetstreamManager();
    await manager.streams.delete(streamName(pick(random, ['red', 'blue'])));
    await connection.close();
  },
  'messages are repeated, late and out of order': async ({ stage, random }) => {
    const connection = await connect({ servers: stage.nats.url.replace('nats://', '') });
    const heard: { readonly subject: string; readonly data: Uint8Array }[] = [];
    connection.subscribe('tm.v1.*.live', {
      callback: (_error, { subject, data }) => void heard.push({ subject, data }),
    });
    await between(random, 1_000, 2_000);
    const repeated = [...heard, ...heard].toSorted(() => random() - 0.5);
    for (const { subject, data } of repeated) {
      connection.publish(subject, data);
      await between(random, 0, 20);
    }
    await connection.close();
  },
  'Postgres is restored to the past': async ({ stage, writer, random, onLost }) => {
    await backUpDatabase(stage.databaseUrl);
    await moreWrites(writer, 20);
    await between(random, 500, 1_500);
    await writer.pause();
    onLost(await readCommitted(stage.databaseUrl));
    await restoreDatabase(stage.databaseUrl);
    writer.resume();
  },
  'a sidecar is cut off from NATS': badWeather({ kind: 'cut' }, sidecarNetwork),
  'the relay is cut off from NATS': badWeather({ kind: 'cut' }, relayNatsNetworks),
  'the control planes are cut off from Postgres': badWeather({ kind: 'cut' }, databaseNetworks),
  'the network of a sidecar is half open': badWeather({ kind: 'half_open' }, sidecarNetwork),
  'the network of the relay is half open': badWeather({ kind: 'half_open' }, relayNatsNetworks),
  'the network of Postgres is half open': badWeather({ kind: 'half_open' }, databaseNetworks),
  'every network is slow': badWeather({ kind: 'delayed', delayMs: 150 }, everyNetwork),
  'the networks of NATS forget their connections': async (setting) => {
    for (const proxy of [...relayNatsNetworks(setting), ...setting.stage.sidecars.flatMap(({ networks }) => networks)])
      proxy.abandonAll();
    await between(setting.random, 0, 2_000);
  },
  'the networks of Postgres forget their connections': async (setting) => {
    for (const proxy of databaseNetworks(setting)) proxy.abandonAll();
    await between(setting.random, 0, 2_000);
  },
  'a sidecar is frozen': async ({ stage, random }) => {
    const sidecar = pick(random, stage.sidecars);
    stage.freezeSidecar(sidecar);
    await between(random, 1_000, 5_000);
    stage.thawSidecar(sidecar);
  },
  'a sidecar is killed': async ({ stage, random }) => {
    const sidecar = pick(random, stage.sidecars);
    await stage.killSidecar(sidecar);
    await between(random, 0, 1_000);
    await stage.startSidecar(sidecar);
  },
};
