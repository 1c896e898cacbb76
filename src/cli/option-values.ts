import { InvalidArgumentError } from 'commander';
import { Endpoint, message, type WeightedVersion } from '../client/index.ts';

const int64Max = 2n ** 63n - 1n;

/** Adds one `KEY=VALUE` of a repeated option. */
export function collectPair(text: string, before: Readonly<Record<string, string>> = {}): Record<string, string> {
  const [key, value] = splitPair(text);
  return { ...before, [key]: value };
}

/** Adds one value of a repeated option. */
export function collect(text: string, before: readonly string[] = []): string[] {
  return [...before, text];
}

/** Adds one `VERSION=WEIGHT` of a repeated option. */
export function collectWeightedVersion(text: string, before: readonly WeightedVersion[] = []): WeightedVersion[] {
  const [version, weight] = splitPair(text);
  return [...before, { version, weight: parseInteger(weight) }];
}

/** Adds one `URL[,weight=N][,zone=Z][,priority=N][,label.KEY=VALUE]` of a repeated option. */
export function collectEndpoint(text: string, before: readonly Endpoint[] = []): Endpoint[] {
  // A path may hold commas; what follows one is a setting only when it looks like one.
  const [url = '', ...settings] = text.split(/,(?=(?:weight|zone|priority|label\.[^=]+)=)/);
  const endpoint = message(Endpoint, { url });
  for (const setting of settings) {
    const [name, value] = splitPair(setting);
    if (name === 'weight') endpoint.weight = parseInteger(value);
    else if (name === 'priority') endpoint.priority = parseInteger(value);
    else if (name === 'zone') endpoint.zone = value;
    else endpoint.labels = { ...endpoint.labels, [name.slice('label.'.length)]: value };
  }
  return [...before, endpoint];
}

/** Reads a revision. */
export function parseRevision(text: string): bigint {
  const revision = /^\d{1,19}$/.test(text) ? BigInt(text) : undefined;
  if (revision === undefined || revision > int64Max) {
    throw new InvalidArgumentError('It must be a revision: a whole number of 0 or more.');
  }
  return revision;
}

/** Reads a whole number that fits int32. */
export function parseInteger(text: string): number {
  const integer = /^-?\d{1,10}$/.test(text) ? Number(text) : NaN;
  if (integer !== (integer | 0)) throw new InvalidArgumentError(`It must be a whole number, not "${text}".`);
  return integer;
}

function splitPair(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at <= 0) throw new InvalidArgumentError('It must be KEY=VALUE.');
  return [text.slice(0, at), text.slice(at + 1)];
}
