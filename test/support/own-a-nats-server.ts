/**
 * A program that starts a NATS server on the directory of its first argument, says so on stdout as JSON and goes on for ever:
 * a test kills it to have a server without an owner.
 */
import { startNats } from '../../deploy/embedded/nats-server.ts';

const [, , directory = '', binary = ''] = process.argv;
const { url, pid } = await startNats({ binary, directory });
process.stdout.write(`${JSON.stringify({ url, pid })}\n`);
// Something to wait for.
process.stdin.resume();
