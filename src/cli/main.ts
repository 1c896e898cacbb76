import { randomUUID } from 'node:crypto';
import process from 'node:process';
import { osActor } from './actor.ts';
import { runProgram } from './program.ts';

const interrupted = new AbortController();
// Once: a second Ctrl-C ends the process as the system does.
process.once('SIGINT', () => interrupted.abort(new Error('Interrupted.')));
process.once('SIGTERM', () => interrupted.abort(new Error('Terminated.')));

// `… | head -1` has read enough: that is no failure, and there is nobody left to tell.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});

// The code is set, not exited with, so that a pipe gets everything that was written.
process.exitCode = await runProgram(process.argv.slice(2), {
  env: process.env,
  stdout: process.stdout,
  stderr: process.stderr,
  signal: interrupted.signal,
  actor: osActor(),
  newCorrelationId: randomUUID,
});
