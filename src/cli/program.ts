import { Command, CommanderError } from 'commander';
import { addApplyCommand } from './commands/apply.ts';
import { addCallCommand } from './commands/call.ts';
import { addChangesCommands } from './commands/changes.ts';
import { addPoliciesCommands } from './commands/policies.ts';
import { addResolveCommand } from './commands/resolve.ts';
import { addRoutesCommands } from './commands/routes.ts';
import { addSidecarCommands } from './commands/sidecar.ts';
import { addTenantsCommands } from './commands/tenants.ts';
import { addUsageCommands } from './commands/usage.ts';
import { addWatchCommand } from './commands/watch.ts';
import { errorLines } from './error-lines.ts';
import { addGlobalOptions } from './global-options.ts';
import type { Terminal } from './terminal.ts';

/** What the process ends with: 0 done, 1 the server, the network or a file refused, 2 the command line is wrong. */
export type ExitCode = 0 | 1 | 2;

/** Runs one command line, without the program's name. Never throws: failures are lines on stderr and an exit code. */
export async function runProgram(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  try {
    await createProgram(terminal).parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    // Commander has already written what it has to say; asking for help is no error.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    terminal.stderr.write(`${errorLines(error).join('\n')}\n`);
    return 1;
  }
}

function createProgram(terminal: Terminal): Command {
  const { stdout, stderr } = terminal;
  const program = new Command('traffic-manager')
    .description('Traffic Manager: routes, traffic policies, lookups and watches')
    .exitOverride()
    .configureOutput({ writeOut: (text) => stdout.write(text), writeErr: (text) => stderr.write(text) })
    .showHelpAfterError('(--help shows what there is)')
    .configureHelp({ showGlobalOptions: true });
  addGlobalOptions(program, terminal);
  addApplyCommand(program, terminal);
  addResolveCommand(program, terminal);
  addRoutesCommands(program, terminal);
  addPoliciesCommands(program, terminal);
  addTenantsCommands(program, terminal);
  addChangesCommands(program, terminal);
  addUsageCommands(program, terminal);
  addWatchCommand(program, terminal);
  addSidecarCommands(program, terminal);
  addCallCommand(program, terminal);
  return program;
}
