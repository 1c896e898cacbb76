import { readSidecarConfig } from '../../../sidecar/config.ts';
import { startSidecar } from '../../../sidecar/sidecar.ts';
import { createLogger } from '../../../src/platform/logger.ts';

const config = readSidecarConfig({ ...process.env, TM_SIDECAR_ADDRESS: '127.0.0.1:0', TM_SIDECAR_TENANTS: 'bench' });
const sidecar = await startSidecar(config, createLogger('sidecar', 'silent'));
process.send?.({ address: sidecar.addresses[0] });
process.once('disconnect', () => process.exit(0));
