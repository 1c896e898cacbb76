import { describe, expect, test } from 'vitest';
import { readSidecarConfig, sourceKind, sourceName } from '../../../sidecar/config.ts';
import { SettingError } from '../../../src/platform/environment.ts';

const token = 'sixteen-or-more!';

const defaults = {
  address: '127.0.0.1:7401',
  token: undefined,
  tls: undefined,
  socketPath: '/run/traffic-manager/sidecar.sock',
  isDefaultSocket: true,
  front: 'wire',
  source: 'grpc://127.0.0.1:7400',
  controlPlane: '127.0.0.1:7400',
  scope: { tenants: [], onDemand: true },
  memoryBytesMax: 64 * 1024 * 1024,
  watchersMax: 1_000,
  watchStallMsMax: 30_000,
  usageReportIntervalMs: 30_000,
  drainDelayMs: 0,
  drainMs: 5_000,
  logLevel: 'info',
};

test('without settings it follows the control plane of this machine, all tenants on demand', () => {
  expect(readSidecarConfig({})).toEqual(defaults);
  expect(readSidecarConfig({ TM_SIDECAR_ADDRESS: '', TM_SIDECAR_TENANTS: ' ' })).toEqual(defaults);
});

test('every setting has its effect', () => {
  const variables = {
    TM_SIDECAR_ADDRESS: '[::1]:9000',
    TM_SIDECAR_TOKEN: token,
    TM_SIDECAR_TLS_CERT: '/etc/tls.crt',
    TM_SIDECAR_TLS_KEY: '/etc/tls.key',
    TM_SIDECAR_TLS_CLIENT_CA: '/etc/ca.crt',
    TM_SIDECAR_SOCKET: '/run/sidecar.sock',
    TM_SIDECAR_WIRE: 'grpc-js',
    TM_SIDECAR_SOURCE: 'grpc://control.example:7000',
    TM_SIDECAR_CONTROL_PLANE: 'other.example:7001',
    TM_SIDECAR_TENANTS: 'acme, globex,acme',
    TM_SIDECAR_SERVICES: 'cart, search',
    TM_SIDECAR_STATE_DIR: '/var/lib/sidecar',
    TM_SIDECAR_SOCKET_GROUP: '1001',
    TM_SIDECAR_MEMORY_MIB: '2',
    TM_WATCHERS_MAX: '7',
    TM_WATCH_STALL_MS: '500',
    TM_USAGE_REPORT_SECONDS: '0',
    TM_DRAIN_DELAY_MS: '30',
    TM_DRAIN_MS: '0',
    TM_LOG_LEVEL: 'silent',
  };
  expect(readSidecarConfig(variables)).toEqual({
    address: '[::1]:9000',
    token,
    tls: { certificate: '/etc/tls.crt', key: '/etc/tls.key', clientAuthorities: '/etc/ca.crt' },
    socketPath: '/run/sidecar.sock',
    isDefaultSocket: false,
    front: 'grpc-js',
    source: 'grpc://control.example:7000',
    controlPlane: 'other.example:7001',
    socketGroupId: 1_001,
    scope: { tenants: ['acme', 'globex'], onDemand: false, services: new Set(['cart', 'search']) },
    stateDirectory: '/var/lib/sidecar',
    memoryBytesMax: 2 * 1024 * 1024,
    watchersMax: 7,
    watchStallMsMax: 500,
    usageReportIntervalMs: 0,
    drainDelayMs: 30,
    drainMs: 0,
    logLevel: 'silent',
  });
});

test('lookups go to the control plane of the source unless another is named', () => {
  expect(readSidecarConfig({ TM_SIDECAR_SOURCE: 'grpc://control.example:7000' }).controlPlane).toBe(
    'control.example:7000',
  );
  expect(readSidecarConfig({ TM_SIDECAR_SOURCE: 'grpc://[::1]:7000' }).controlPlane).toBe('[::1]:7000');
});

test('a change stream is a source too; its password is not shown, and lookups go to this machine unless a control plane is named', () => {
  const source = 'nats://sidecar:secret@nats.example:4222';
  expect(readSidecarConfig({ TM_SIDECAR_SOURCE: source })).toMatchObject({ source, controlPlane: '127.0.0.1:7400' });
  expect([sourceKind(source), sourceName(source)]).toEqual(['nats', 'nats://nats.example:4222']);
  expect([sourceKind('grpc://a:1'), sourceName('grpc://a:1')]).toEqual(['grpc', 'grpc://a:1']);
});

test('a star allows other tenants besides', () => {
  expect(readSidecarConfig({ TM_SIDECAR_TENANTS: 'acme,*' }).scope).toEqual({ tenants: ['acme'], onDemand: true });
  expect(readSidecarConfig({ TM_SIDECAR_TENANTS: '*' }).scope).toEqual({ tenants: [], onDemand: true });
});

test('off: no port, only the socket', () => {
  const config = readSidecarConfig({ TM_SIDECAR_ADDRESS: 'off', TM_SIDECAR_SOCKET: '/run/sidecar.sock' });
  expect(config).toMatchObject({ address: undefined, socketPath: '/run/sidecar.sock' });
});

test('the socket is in the directory of the session, else where services have theirs, unless it is said otherwise', () => {
  const session = { XDG_RUNTIME_DIR: '/run/user/1000' };
  const ofSession = { socketPath: '/run/user/1000/traffic-manager/sidecar.sock', isDefaultSocket: true };
  expect(readSidecarConfig(session)).toMatchObject(ofSession);
  const ofServices = { socketPath: '/run/traffic-manager/sidecar.sock', isDefaultSocket: true };
  expect(readSidecarConfig({ XDG_RUNTIME_DIR: 'relative' })).toMatchObject(ofServices);
  const chosen = { socketPath: '/tmp/a.sock', isDefaultSocket: false };
  expect(readSidecarConfig({ ...session, TM_SIDECAR_SOCKET: '/tmp/a.sock' })).toMatchObject(chosen);
  const none = { socketPath: undefined, isDefaultSocket: false };
  expect(readSidecarConfig({ ...session, TM_SIDECAR_SOCKET: 'off' })).toMatchObject(none);
});

test('off for both the port and the socket is refused: the sidecar would listen nowhere', () => {
  const nowhere = { TM_SIDECAR_ADDRESS: 'off', TM_SIDECAR_SOCKET: 'off' };
  expect(() => readSidecarConfig(nowhere)).toThrow(/TM_SIDECAR_SOCKET=off: the sidecar would listen nowhere/);
});

describe('what cannot be used is refused in one line that names the variable', () => {
  test.each<[string, string]>([
    ['TM_SIDECAR_ADDRESS', '7401'],
    ['TM_SIDECAR_ADDRESS', '127.0.0.1:70000'],
    ['TM_SIDECAR_SOCKET', `/run/${'x'.repeat(120)}.sock`],
    // Without a socket that it could be for.
    ['TM_SIDECAR_SOCKET_GROUP', '1001'],
    ['TM_SIDECAR_WIRE', 'http2'],
    ['TM_SIDECAR_SOURCE', 'nats://user:password@127.0.0.1'],
    ['TM_SIDECAR_SOURCE', 'nats://127.0.0.1:4222/stream'],
    ['TM_SIDECAR_SOURCE', 'http://127.0.0.1:7400'],
    ['TM_SIDECAR_SOURCE', '127.0.0.1:7400'],
    ['TM_SIDECAR_SOURCE', 'grpc://127.0.0.1'],
    ['TM_SIDECAR_SOURCE', 'grpc://127.0.0.1:0'],
    ['TM_SIDECAR_SOURCE', 'grpc://127.0.0.1:7400/tenants'],
    ['TM_SIDECAR_SOURCE', 'grpc://user:password@127.0.0.1:7400'],
    ['TM_SIDECAR_CONTROL_PLANE', 'grpc://127.0.0.1:7400'],
    ['TM_SIDECAR_CONTROL_PLANE', '127.0.0.1'],
    ['TM_SIDECAR_CONTROL_PLANE', '127.0.0.1:0'],
    ['TM_SIDECAR_TENANTS', 'acme,,globex'],
    ['TM_SIDECAR_TENANTS', 'Acme'],
    ['TM_SIDECAR_TENANTS', 'a/b'],
    ['TM_SIDECAR_MEMORY_MIB', '0'],
    ['TM_SIDECAR_MEMORY_MIB', '16385'],
    ['TM_SIDECAR_MEMORY_MIB', '1.5'],
    ['TM_SIDECAR_MEMORY_MIB', '64MB'],
    ['TM_DRAIN_MS', '-1'],
    ['TM_DRAIN_MS', '600001'],
    ['TM_LOG_LEVEL', 'verbose'],
  ])('%s=%s', (name, value) => {
    const line = messageOf({ [name]: value });
    expect(line).toContain(name);
    expect(line).not.toContain('\n');
    expect(line).not.toContain('password');
  });

  test.each([
    '0.0.0.0:7401',
    '[::]:7401',
    '10.0.0.7:7401',
    'example.com:7401',
    '127.0.0.1.example.com:7401',
    'localhost.example.com:7401',
  ])('TM_SIDECAR_ADDRESS=%s, because it is not loopback', (address) => {
    const line = messageOf({ TM_SIDECAR_ADDRESS: address });
    expect(line).toMatch(/^TM_SIDECAR_ADDRESS=.* is not a loopback address/);
    expect(line).toContain('TM_SIDECAR_REMOTE=on');
    const credentials = { TM_SIDECAR_TOKEN: token, TM_SIDECAR_TLS_CERT: '/cert', TM_SIDECAR_TLS_KEY: '/key' };
    expect(messageOf({ TM_SIDECAR_ADDRESS: address, ...credentials })).toBe(line);
    expect(readSidecarConfig({ TM_SIDECAR_ADDRESS: address, TM_SIDECAR_REMOTE: 'on', ...credentials }).address).toBe(
      address,
    );
  });

  test.each(['127.0.0.1:7401', '127.8.9.10:1', 'localhost:7401', '[::1]:7401'])(
    'TM_SIDECAR_ADDRESS=%s is loopback',
    (address) => {
      expect(readSidecarConfig({ TM_SIDECAR_ADDRESS: address }).address).toBe(address);
    },
  );
});

function messageOf(variables: NodeJS.ProcessEnv): string {
  try {
    readSidecarConfig(variables);
  } catch (error) {
    if (error instanceof SettingError) return error.message;
    throw error;
  }
  throw new Error('it was taken');
}

test.each(['Cart', 'cart,', Array.from({ length: 1_001 }, (_, index) => `s${index}`).join()])(
  'services that a watch cannot ask for are refused: %.20s',
  (services) => {
    expect(() => readSidecarConfig({ TM_SIDECAR_SERVICES: services })).toThrow(/^TM_SIDECAR_SERVICES /);
  },
);
