import { LineCounter, parseAllDocuments, type Document } from 'yaml';
import type { core, ZodType } from 'zod';
import { formatPath, offsetOfKey, offsetOfValue, type DocumentPath } from './document-position.ts';
import { cliLimits } from './limits.ts';
import { manifestSchema, type Manifest } from './manifest-schema.ts';
import { repeatedNames, type RepeatedName } from './repeated-names.ts';

/** A file that cannot be used; the message is one line: file, line, column, path, what is wrong. */
export class ManifestError extends Error {
  override readonly name = 'ManifestError';
}

/** A file's name, for messages, and its text. */
export interface ManifestSource {
  readonly file: string;
  readonly text: string;
}

/** What a file is to hold. */
export interface DocumentKind<Value> {
  /** Such as `manifest`. */
  readonly noun: string;
  /** Of the map that it is. */
  readonly keys: string;
  readonly schema: ZodType<Value>;
  /** Names that its lists must not hold twice. */
  readonly repeatedNames: (value: Value) => readonly RepeatedName[];
}

/** One thing that is wrong, and where. */
interface Problem {
  readonly offset: number;
  readonly path: DocumentPath;
  readonly text: string;
}

const manifestKind: DocumentKind<Manifest> = {
  noun: 'manifest',
  keys: 'tenants',
  schema: manifestSchema,
  repeatedNames,
};

/**
 * Reads a manifest strictly: one document of YAML 1.2, known keys only, every value of its kind, no name twice in a list.
 *
 * @throws ManifestError about what is wrong first in the file.
 */
export function parseManifest(source: ManifestSource): Manifest {
  return parseDocument(source, manifestKind);
}

/** Reads any file as strictly as {@link parseManifest} reads a manifest. */
export function parseDocument<Value>(source: ManifestSource, kind: DocumentKind<Value>): Value {
  const lines = new LineCounter();
  const read = readValue(source.text, kind, lines);
  if ('value' in read) return read.value;
  const { line, col } = lines.linePos(read.offset);
  const where = read.path.length === 0 ? '' : `${formatPath(read.path)}: `;
  // An empty file has no lines; people count from 1 all the same.
  throw new ManifestError(`${source.file}:${Math.max(line, 1)}:${Math.max(col, 1)}: ${where}${read.text}`);
}

function readValue<Value>(
  text: string,
  kind: DocumentKind<Value>,
  lines: LineCounter,
): { readonly value: Value } | Problem {
  if (Buffer.byteLength(text) > cliLimits.manifestBytesMax) {
    return { offset: 0, path: [], text: `larger than ${cliLimits.manifestBytesMax} bytes; split the file` };
  }
  const document = readDocument(text, kind, lines);
  if ('offset' in document) return document;
  const value = toValue(document);
  if (value instanceof Error) return { offset: 0, path: [], text: `not usable YAML: ${value.message}` };
  const parsed = kind.schema.safeParse(value);
  if (!parsed.success) return firstProblem(document, kind, parsed.error.issues);
  const [repeated] = kind.repeatedNames(parsed.data);
  if (repeated === undefined) return { value: parsed.data };
  return { ...repeated, offset: offsetOfValue(document, repeated.path) ?? 0 };
}

function readDocument(
  text: string,
  { noun, keys }: Pick<DocumentKind<unknown>, 'noun' | 'keys'>,
  lines: LineCounter,
): Document | Problem {
  const parsed = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false });
  const [document, second] = parsed;
  if (document === undefined) return { offset: 0, path: [], text: `is empty; expected the key ${keys}` };
  const broken = document.errors[0] ?? document.warnings[0];
  if (broken !== undefined) return { offset: broken.pos[0], path: [], text: `not YAML: ${broken.message}` };
  if (second === undefined) return document;
  return { offset: second.range[0], path: [], text: `a second document begins; a ${noun} is one document` };
}

/** The document's value, or the error of an alias that leads nowhere or to too much. */
function toValue(document: Document): unknown {
  try {
    return document.toJS({ maxAliasCount: cliLimits.manifestAliasesMax });
  } catch (error) {
    return error;
  }
}

function firstProblem(
  document: Document,
  { noun }: Pick<DocumentKind<unknown>, 'noun'>,
  issues: readonly core.$ZodIssue[],
): Problem {
  const isUnknownKey = (issue: core.$ZodIssue) => issue.code === 'unrecognized_keys';
  // A misspelt key is also a missing one: say what is there before what is not.
  const unknownKeys = issues.filter(isUnknownKey);
  const problems = (unknownKeys.length > 0 ? unknownKeys : issues).map((issue) => problemOf(document, issue));
  const [first = { offset: 0, path: [], text: `is not a ${noun}` }] = problems.toSorted((a, b) => a.offset - b.offset);
  return first;
}

function problemOf(document: Document, issue: core.$ZodIssue): Problem {
  const { path, message } = issue;
  if (issue.code === 'unrecognized_keys') {
    return { path, text: message, offset: offsetOfKey(document, path, issue.keys[0] ?? '') ?? 0 };
  }
  const offset = offsetOfValue(document, path);
  if (offset !== undefined) return { path, text: message, offset };
  const parent = path.slice(0, -1);
  const text = `the key "${String(path.at(-1))}" is missing`;
  return { path: parent, text, offset: offsetOfValue(document, parent) ?? 0 };
}
