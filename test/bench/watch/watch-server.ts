import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { readControlPlaneConfig } from '../../../src/config.ts';
import { startControlPlane } from '../../../src/control-plane.ts';
import { createLogger } from '../../../src/platform/logger.ts';

// A control plane that says how much memory it holds once its garbage is gone.
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const config = readControlPlaneConfig({ ...process.env, TM_CONTROL_PLANE_ADDRESS: '127.0.0.1:0' });
const controlPlane = await startControlPlane(config, createLogger('control-plane', 'error'));
process.send?.({ address: controlPlane.address });
process.on('message', () => {
  collectGarbage();
  collectGarbage();
  const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage();
  process.send?.({ rss, heapUsed, external, arrayBuffers });
});
process.once('disconnect', () => process.exit(0));
