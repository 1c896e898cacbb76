import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { readSidecarConfig } from '../../../sidecar/config.ts';
import { startSidecar } from '../../../sidecar/sidecar.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { tellFigures } from '../process-figures.ts';

// Says how much memory it holds once its garbage is gone.
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const TM_SIDECAR_TENANTS = process.env['BENCH_TENANT'] ?? 'bench';
const config = readSidecarConfig({ ...process.env, TM_SIDECAR_ADDRESS: '127.0.0.1:0', TM_SIDECAR_TENANTS });
const sidecar = await startSidecar(config, createLogger('sidecar', 'silent'));
process.send?.({ address: sidecar.addresses[0] });
tellFigures();
process.on('message', (message) => {
  if (message === 'figures') return;
  collectGarbage();
  collectGarbage();
  const { rss, heapUsed } = process.memoryUsage();
  process.send?.({ rss, heapUsed });
});
process.once('disconnect', () => process.exit(0));
