import type { Command } from 'commander';
import { applyFile } from '../apply.ts';
import { globalOptions, openOutput } from '../global-options.ts';
import type { Terminal } from '../terminal.ts';
import { tlsSettings } from '../tls-options.ts';

export function addApplyCommand(program: Command, terminal: Terminal): void {
  program
    .command('apply')
    .description('make the control plane hold what a manifest says; what the file does not mention is left alone')
    .requiredOption('-f, --file <file>', 'the manifest, such as deploy/examples/shop.yaml')
    .option('--force', 'even when that takes many routes out of use')
    .action(async ({ file, force }: { file: string; force?: boolean }, command: Command) => {
      const { address, actor, correlationId, timeout: timeoutMs, token } = globalOptions(command);
      const onProgress = (line: string) => terminal.stderr.write(`${line}\n`);
      const { signal } = terminal;
      const defaults = { address, tls: tlsSettings(command), actor, correlationId, timeoutMs, token, signal };
      const result = await applyFile({ file, force, onProgress, ...defaults });
      await openOutput(command, terminal).result(result);
    });
}
