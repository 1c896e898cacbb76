import { readControlPlaneConfig } from '../../src/config.ts';
import { startControlPlane } from '../../src/control-plane.ts';
import { createLogger } from '../../src/platform/logger.ts';

const config = readControlPlaneConfig({ ...process.env, TM_CONTROL_PLANE_ADDRESS: '127.0.0.1:0' });
const controlPlane = await startControlPlane(config, createLogger('control-plane', 'error'));
process.send?.({ address: controlPlane.address });
process.once('disconnect', () => process.exit(0));
