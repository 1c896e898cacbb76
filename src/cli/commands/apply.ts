import type { Command } from 'commander';
import { applyFile } from '../apply.ts';
import { globalOptions, openOutput } from '../global-options.ts';
import type { Terminal } from '../terminal.ts';

export function addApplyCommand(program: Command, terminal: Terminal): void {
  program
    .command('apply')
    .description('make the control plane hold what a manifest says; what the file does not mention is left alone')
    .requiredOption('-f, --file <file>', 'the manifest, such as deploy/examples/shop.yaml')
    .action(async ({ file }: { file: string }, command: Command) => {
      const { address, actor, correlationId, timeout: timeoutMs, token } = globalOptions(command);
      const onProgress = (line: string) => terminal.stderr.write(`${line}\n`);
      const { signal } = terminal;
      const result = await applyFile({ file, address, actor, correlationId, timeoutMs, token, signal, onProgress });
      await openOutput(command, terminal).result(result);
    });
}
