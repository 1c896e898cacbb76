import type { Command } from 'commander';
import { suggestion } from '../../platform/closest-name.ts';
import { connect, openOutput } from '../global-options.ts';
import { loadProtoSchema, type ProtoSchema, type SchemaMethod } from '../proto-schema.ts';
import { requestFromJson, RequestJsonError } from '../request-from-json.ts';
import type { Terminal } from '../terminal.ts';

export function addCallCommand(program: Command, terminal: Terminal): void {
  program
    .command('call')
    .description('call any method of the API; answers of a stream are printed as JSON lines')
    .argument('<method>', 'SERVICE/METHOD, such as RouteService/GetRoute')
    .argument('[json]', 'the request, as proto3 JSON; a list of them for a method that takes a stream', '{}')
    .action(async (name: string, text: string, _options: unknown, command: Command) => {
      const schema = await loadProtoSchema();
      const { definition, requestType } = findMethod(schema, name, command);
      const requests = readRequests({ schema, requestType, text, command });
      using client = connect(command, 'control plane', terminal);
      const output = openOutput(command, terminal);
      const [only, second] = requests;
      if (!definition.requestStream && (only === undefined || second !== undefined)) {
        command.error(`error: ${name} takes one request.`, { exitCode: 2 });
      }
      if (definition.requestStream) {
        await output.stream(client.transport.duplex(definition, each(requests)));
      } else if (definition.responseStream) {
        await output.stream(client.transport.serverStream(definition, only ?? {}));
      } else {
        await output.result(await client.transport.unary(definition, only ?? {}));
      }
    });
}

/** By the service's full name, or by its last part. */
function findMethod(schema: ProtoSchema, name: string, command: Command): SchemaMethod {
  const names = [...schema.methods.keys()];
  const fullName = names.find((known) => known === name || shortName(known) === name);
  const method = fullName === undefined ? undefined : schema.methods.get(fullName);
  if (method !== undefined) return method;
  const known = names.map(shortName);
  return command.error(
    `error: unknown method "${name}"${suggestion(name, known) || `; known are ${known.join(', ')}`}`,
    { exitCode: 2 },
  );
}

function shortName(fullName: string): string {
  return fullName.slice(fullName.lastIndexOf('.') + 1);
}

interface RequestText {
  readonly schema: ProtoSchema;
  readonly requestType: string;
  readonly text: string;
  readonly command: Command;
}

function readRequests({ schema, requestType, text, command }: RequestText): object[] {
  try {
    const json: unknown = JSON.parse(text);
    return (Array.isArray(json) ? json : [json]).map((request) => requestFromJson(schema, requestType, request));
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof RequestJsonError)) throw error;
    const what = error instanceof SyntaxError ? 'the request is not JSON' : 'the request does not fit';
    return command.error(`error: ${what}: ${error.message}`, { exitCode: 2 });
  }
}

async function* each<Item>(items: readonly Item[]): AsyncGenerator<Item, void, void> {
  yield* items;
}
