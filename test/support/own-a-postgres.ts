/**
 * A program that starts a Postgres on the directory of its first argument, says so on stdout as JSON and goes on for ever:
 * a test kills it to have a server without an owner.
 */
import { startPostgres } from '../../deploy/embedded/postgres-server.ts';

const [, , directory = '', binariesDirectory = ''] = process.argv;
const { url, pid } = await startPostgres({ directory, binariesDirectory, durable: false });
process.stdout.write(`${JSON.stringify({ url, pid })}\n`);
// Something to wait for.
process.stdin.resume();
