import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { load, type AnyDefinition, type MethodDefinition, type PackageDefinition } from '@grpc/proto-loader';
import { cliLimits } from './limits.ts';

/** The part of google.protobuf.FieldDescriptorProto that is used here. */
export interface FieldDescriptor {
  readonly name: string;
  readonly label: string;
  readonly type: string;
  readonly typeName: string;
}

/** The part of google.protobuf.DescriptorProto that is used here. */
export interface MessageDescriptor {
  readonly name: string;
  readonly field: readonly FieldDescriptor[];
  readonly nestedType: readonly MessageDescriptor[];
  readonly enumType: readonly EnumDescriptor[];
  readonly options: { readonly mapEntry: boolean } | null;
}

/** The part of google.protobuf.EnumDescriptorProto that is used here. */
export interface EnumDescriptor {
  readonly name: string;
  readonly value: readonly { readonly name: string; readonly number: number }[];
}

/** A method by the full name of its service, and the full name of what it takes. */
export interface SchemaMethod {
  readonly definition: MethodDefinition<object, object>;
  readonly requestType: string;
}

/** What the proto files say; names are full ones, such as `trafficmanager.v1.Route`. */
export interface ProtoSchema {
  /** By `trafficmanager.v1.RouteService/GetRoute`. */
  readonly methods: ReadonlyMap<string, SchemaMethod>;
  readonly messages: ReadonlyMap<string, MessageDescriptor>;
  readonly enums: ReadonlyMap<string, EnumDescriptor>;
}

/** Reads every file under `proto/`. Costs some 40 ms, so only commands that need it do. */
export async function loadProtoSchema(): Promise<ProtoSchema> {
  const directory = findProtoDirectory();
  const names = await readdir(directory, { recursive: true });
  const files = names.filter((name) => name.endsWith('.proto')).toSorted();
  // `longs` stays unset: an int64 then keeps its type, and the printer knows it from a text of digits.
  const options = { includeDirs: [directory], keepCase: true, enums: String, defaults: true, json: true };
  return indexDefinitions(await load(files, options));
}

/** The full name of a type that a proto names inside `scope`: the innermost that exists, as protoc resolves it. */
export function resolveTypeName(types: ReadonlyMap<string, unknown>, typeName: string, scope: string): string {
  if (typeName.startsWith('.')) return typeName.slice(1);
  const parts = scope.split('.');
  for (let length = parts.length; length > 0; length--) {
    const candidate = [...parts.slice(0, length), typeName].join('.');
    if (types.has(candidate)) return candidate;
  }
  return typeName;
}

function indexDefinitions(definitions: PackageDefinition): ProtoSchema {
  const methods = new Map<string, SchemaMethod>();
  const messages = new Map<string, MessageDescriptor>();
  const enums = new Map<string, EnumDescriptor>();
  function addMessage(name: string, message: MessageDescriptor): void {
    messages.set(name, message);
    for (const nested of message.nestedType) addMessage(`${name}.${nested.name}`, nested);
    for (const nested of message.enumType) enums.set(`${name}.${nested.name}`, nested);
  }
  const services: [string, Record<string, MethodDefinition<object, object>>][] = [];
  for (const [name, definition] of Object.entries(definitions)) {
    if (isService(definition)) services.push([name, definition]);
    else if (definition.format === 'Protocol Buffer 3 DescriptorProto') {
      addMessage(name, definition.type as MessageDescriptor);
    } else enums.set(name, definition.type as EnumDescriptor);
  }
  for (const [service, definition] of services) {
    for (const [method, methodDefinition] of Object.entries(definition)) {
      const { name } = methodDefinition.requestType.type as MessageDescriptor;
      const requestType = resolveTypeName(messages, name, service);
      methods.set(`${service}/${method}`, { definition: methodDefinition, requestType });
    }
  }
  return { methods, messages, enums };
}

function isService(definition: AnyDefinition): definition is Record<string, MethodDefinition<object, object>> {
  return typeof definition['format'] !== 'string';
}

/** Sources run from `src/cli`, a build from somewhere below the package: the protos are beside one of the parents. */
function findProtoDirectory(): string {
  let directory = import.meta.dirname;
  for (let depth = 0; depth < cliLimits.protoSearchDepthMax; depth++) {
    const candidate = join(directory, 'proto');
    if (existsSync(join(candidate, 'trafficmanager'))) return candidate;
    directory = dirname(directory);
  }
  throw new Error(`No proto/trafficmanager beside ${import.meta.dirname} or above, up to ${resolve(directory)}.`);
}
