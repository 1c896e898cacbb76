import type { Command } from 'commander';
import { createServiceClient } from '../../client/service-client.ts';
import { SidecarServiceService } from '../../gen/trafficmanager/v1/sidecar_service.ts';
import { connect, openOutput } from '../global-options.ts';
import type { Terminal } from '../terminal.ts';

export function addSidecarCommands(program: Command, terminal: Terminal): void {
  const sidecar = program.command('sidecar').description('look into a sidecar');
  sidecar
    .command('status')
    .description('what the sidecar follows and holds, how fresh it is, and how it fares')
    .argument('[tenant]', 'only this tenant')
    .action(async (tenant: string | undefined, _options: object, command: Command) => {
      using client = connect(command, 'sidecar', terminal);
      const service = createServiceClient(client.transport, SidecarServiceService);
      await openOutput(command, terminal).result(await service.getStatus({ tenant: tenant ?? '' }));
    });
}
