import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { findFreePort } from '../../../deploy/embedded/listen-address.ts';
import { cpuUsOf, pinned, type BenchServer } from '../spawn-server.ts';

/** Whether a program is on this machine. */
export function isInstalled(command: string): boolean {
  return spawnSync(command, ['--version']).error === undefined;
}

/** Characters: the last lines of a process that does not come up. */
const saidMax = 4_096;

type Native = { readonly command: string; readonly parameters: (file: string) => string[]; readonly config: string };

/** nginx that answers every gRPC call with a fixed message of so many bytes. */
export async function startNginxReply(messageBytes: number): Promise<BenchServer> {
  const port = await findFreePort();
  const body = 'x'.repeat(messageBytes + 5);
  return await start(
    port,
    nginx(port, `default_type application/grpc; add_trailer grpc-status 0; return 200 "${body}";`),
  );
}

/** nginx that passes gRPC on, over up to 512 connections that it keeps. */
export async function startNginxProxy(upstream: string): Promise<BenchServer> {
  const port = await findFreePort();
  return await start(
    port,
    nginx(
      port,
      'grpc_pass grpc://up;',
      `upstream up { server ${upstream}; keepalive 512; keepalive_requests 1000000000; }`,
    ),
  );
}

function nginx(port: number, location: string, before = ''): Native {
  return {
    command: 'nginx',
    parameters: (file) => ['-c', file, '-p', join(file, '..')],
    config: `daemon off; master_process off; error_log stderr crit; pid nginx.pid;
events { worker_connections 4096; }
http {
  access_log off; client_body_temp_path .; proxy_temp_path .; fastcgi_temp_path .; uwsgi_temp_path .; scgi_temp_path .;
  keepalive_requests 1000000000; client_max_body_size 0; grpc_read_timeout 60s;
  ${before}
  server { listen 127.0.0.1:${port} http2; http2_max_concurrent_streams 1024; location / { ${location} } }
}`,
  };
}

/** haproxy that passes gRPC on. */
export async function startHaproxy(upstream: string): Promise<BenchServer> {
  const port = await findFreePort();
  return await start(port, {
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
  bind 127.0.0.1:${port} proto h2
  default_backend out
backend out
  http-reuse always
  server s ${upstream} proto h2
`,
  });
}

/** etcd of one member, in a directory that goes with it. */
export async function startEtcdServer(): Promise<BenchServer> {
  const [port, peerPort] = [await findFreePort(), await findFreePort()];
  return await start(port, {
    command: 'etcd',
    parameters: (file) => ['--config-file', file],
    config: `name: bench
data-dir: data
logger: zap
log-level: error
log-outputs: [stderr]
listen-client-urls: http://127.0.0.1:${port}
advertise-client-urls: http://127.0.0.1:${port}
listen-peer-urls: http://127.0.0.1:${peerPort}
initial-advertise-peer-urls: http://127.0.0.1:${peerPort}
initial-cluster: bench=http://127.0.0.1:${peerPort}
`,
  });
}

async function start(port: number, { command, parameters, config }: Native): Promise<BenchServer> {
  const directory = mkdtempSync(join(tmpdir(), 'bench-native-'));
  const file = join(directory, 'server.conf');
  writeFileSync(file, config);
  const child = spawn(...pinned(0, command, parameters(file)), { stdio: ['ignore', 'ignore', 'pipe'], cwd: directory });
  const pid = child.pid ?? 0;
  // Kept for a start that fails: etcd writes of all that it does, whatever its level.
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-saidMax);
  });
  try {
    await untilListening(port, () => child.exitCode !== null);
  } catch (error) {
    child.kill('SIGKILL');
    throw new Error(`${command} does not serve:\n${said}`, { cause: error });
  }
  return {
    address: `127.0.0.1:${port}`,
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

async function untilListening(port: number, isGone: () => boolean): Promise<void> {
  const endMs = performance.now() + 5_000;
  for (;;) {
    const socket = createConnection({ host: '127.0.0.1', port });
    const isUp = await new Promise<boolean>((resolve) => {
      socket.on('connect', () => resolve(true));
      socket.on('error', () => resolve(false));
    });
    socket.destroy();
    if (isUp) return;
    if (isGone() || performance.now() > endMs) throw new Error(`nothing listens on ${port}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
