import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { findFreePort } from '../../../deploy/embedded/listen-address.ts';
import { connectionTo } from '../connection-to.ts';
import type { Listening } from '../listening.ts';
import { cpuUsOf, pinned, type BenchServer } from '../spawn-server.ts';

/** Whether a program is on this machine. */
export function isInstalled(command: string): boolean {
  return spawnSync(command, ['--version']).error === undefined;
}

/** Characters: the last lines of a process that does not come up. */
const saidMax = 4_096;

type Native = {
  readonly command: string;
  readonly parameters: (file: string) => string[];
  readonly config: string;
  /** What lies beside its configuration, by name. */
  readonly files?: Readonly<Record<string, string>>;
};

const overTcp: Listening = { socketPath: undefined, tls: undefined };

/** nginx that answers every gRPC call with a fixed message of so many bytes. */
export async function startNginxReply(messageBytes: number, listening = overTcp): Promise<BenchServer> {
  const { socketPath, tls } = listening;
  const address = socketPath === undefined ? await freeAddress() : `unix:${socketPath}`;
  const body = 'x'.repeat(messageBytes + 5);
  const location = `default_type application/grpc; add_trailer grpc-status 0; return 200 "${body}";`;
  if (tls === undefined) return await start(address, nginx(address, location));
  const native = nginx(`${address} ssl`, location, 'ssl_certificate cert.pem; ssl_certificate_key key.pem;');
  return await start(address, { ...native, files: { 'cert.pem': tls.cert, 'key.pem': tls.key } });
}

async function freeAddress(): Promise<string> {
  return `127.0.0.1:${await findFreePort()}`;
}

/** nginx that passes gRPC on, over up to 512 connections that it keeps. */
export async function startNginxProxy(upstream: string): Promise<BenchServer> {
  const address = await freeAddress();
  return await start(
    address,
    nginx(
      address,
      'grpc_pass grpc://up;',
      `upstream up { server ${upstream}; keepalive 512; keepalive_requests 1000000000; }`,
    ),
  );
}

function nginx(listen: string, location: string, before = ''): Native {
  return {
    command: 'nginx',
    parameters: (file) => ['-c', file, '-p', join(file, '..')],
    config: `daemon off; master_process off; error_log stderr crit; pid nginx.pid;
events { worker_connections 4096; }
http {
  access_log off; client_body_temp_path .; proxy_temp_path .; fastcgi_temp_path .; uwsgi_temp_path .; scgi_temp_path .;
  keepalive_requests 1000000000; client_max_body_size 0; grpc_read_timeout 60s;
  ${before}
  server { listen ${listen} http2; http2_max_concurrent_streams 1024; location / { ${location} } }
}`,
  };
}

/** haproxy that passes gRPC on. */
export async function startHaproxy(upstream: string): Promise<BenchServer> {
  const address = await freeAddress();
  return await start(address, {
    command: 'haproxy',
    parameters: (file) => ['-db', '-f', file],
    config: `global
  maxconn 4096
  nbthread 1
  tune.h2.max-concurrent-streams 1024
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend in
  bind ${address} proto h2
  default_backend out
backend out
  http-reuse always
  server s ${upstream} proto h2
`,
  });
}

/** etcd of one member, in a directory that goes with it. */
export async function startEtcdServer(): Promise<BenchServer> {
  const [address, peerAddress] = [await freeAddress(), await freeAddress()];
  return await start(address, {
    command: 'etcd',
    parameters: (file) => ['--config-file', file],
    config: `name: bench
data-dir: data
logger: zap
log-level: error
log-outputs: [stderr]
listen-client-urls: http://${address}
advertise-client-urls: http://${address}
listen-peer-urls: http://${peerAddress}
initial-advertise-peer-urls: http://${peerAddress}
initial-cluster: bench=http://${peerAddress}
`,
  });
}

async function start(address: string, { command, parameters, config, files = {} }: Native): Promise<BenchServer> {
  const directory = mkdtempSync(join(tmpdir(), 'bench-native-'));
  const file = join(directory, 'server.conf');
  writeFileSync(file, config);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  const child = spawn(...pinned(0, command, parameters(file)), { stdio: ['ignore', 'ignore', 'pipe'], cwd: directory });
  const pid = child.pid ?? 0;
  // Kept for a start that fails: etcd writes of all that it does, whatever its level.
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-saidMax);
  });
  try {
    await untilListening(address, () => child.exitCode !== null);
  } catch (error) {
    child.kill('SIGKILL');
    throw new Error(`${command} does not serve:\n${said}`, { cause: error });
  }
  return {
    address,
    pid,
    cpuUs: () => cpuUsOf(pid),
    ask: () => Promise.reject(new Error('it answers no messages')),
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await once(child, 'exit');
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function untilListening(address: string, isGone: () => boolean): Promise<void> {
  const endMs = performance.now() + 5_000;
  for (;;) {
    const socket = createConnection(connectionTo(address));
    const isUp = await new Promise<boolean>((resolve) => {
      socket.on('connect', () => resolve(true));
      socket.on('error', () => resolve(false));
    });
    socket.destroy();
    if (isUp) return;
    if (isGone() || performance.now() > endMs) throw new Error(`nothing listens on ${address}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
