import { readControlPlaneConfig } from './config.ts';
import { startControlPlane } from './control-plane.ts';
import { DatabaseStartError } from './outbound/postgres/database.ts';
import { SettingError } from './platform/environment.ts';
import { ListenError } from './platform/grpc/server.ts';
import { warnOfUnknownSettings } from './platform/known-settings.ts';
import { createLogger } from './platform/logger.ts';
import { runProcess, stopReserveMs } from './platform/process-lifecycle.ts';

await runProcess({
  operatorErrors: [SettingError, ListenError, DatabaseStartError],
  start: async () => {
    const config = readControlPlaneConfig(process.env);
    const logger = createLogger('control-plane', config.logLevel);
    warnOfUnknownSettings(process.env, logger);
    const controlPlane = await startControlPlane(config, logger);
    logger.info({ address: controlPlane.address }, 'the control plane serves');
    return { running: controlPlane, stopMsMax: config.drainDelayMs + config.drainMs + stopReserveMs };
  },
});
