import { SettingError } from '../src/platform/environment.ts';
import { ListenError } from '../src/platform/grpc/server.ts';
import { warnOfUnknownSettings } from '../src/platform/known-settings.ts';
import { createLogger } from '../src/platform/logger.ts';
import { runProcess, stopReserveMs } from '../src/platform/process-lifecycle.ts';
import { readSidecarConfig, sourceName } from './config.ts';
import { startSidecar } from './sidecar.ts';

await runProcess({
  operatorErrors: [SettingError, ListenError],
  start: async () => {
    const config = readSidecarConfig(process.env);
    const logger = createLogger('sidecar', config.logLevel);
    warnOfUnknownSettings(process.env, logger);
    const sidecar = await startSidecar(config, logger);
    const { scope, source } = config;
    logger.info({ addresses: sidecar.addresses, source: sourceName(source), scope }, 'the sidecar serves');
    return { running: sidecar, stopMsMax: config.drainDelayMs + config.drainMs + stopReserveMs };
  },
});
