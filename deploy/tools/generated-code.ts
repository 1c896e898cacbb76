import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repository, requireCommand } from './run-command.ts';

/** Where generated code lives, from the root. `buf.gen.yaml` names it too. */
const folder = 'src/gen';

/** Generates the code of `proto/` into `src/gen` under a root, replacing what is there. */
export async function generateCode(root: string = repository): Promise<void> {
  await requireCommand(['buf', 'generate', '--output', root]);
  const files = await readFolder(join(root, folder));
  for (const [path, text] of files) {
    const kept = keepEveryKey(text);
    if (kept !== text) await writeFile(join(root, folder, path), kept);
  }
}

/**
 * ts-proto's decoders put a map's entries into an object by assignment, which of the key `__proto__` makes no property: the entry
 * would be lost without a word. Its own way out, `useMapType`, would make every map of every message a Map.
 */
function keepEveryKey(text: string): string {
  return text.replaceAll(
    /^( *)(message\.\w+)\[(entry\d+)\.key\] = \3\.value;$/gm,
    (assignment, indent: string, map: string, entry: string) => `${indent}if (${entry}.key === "__proto__") {
${indent}  const own = { value: ${entry}.value, configurable: true, enumerable: true, writable: true };
${indent}  globalThis.Object.defineProperty(${map}, ${entry}.key, own);
${indent}} else {
  ${assignment}
${indent}}`,
  );
}

/** The generated files that are missing, left over or edited. Compares with a fresh generation, not with git: uncommitted work counts. */
export async function findStaleCode(root: string = repository): Promise<string[]> {
  const fresh = await mkdtemp(join(tmpdir(), 'tm-generate-'));
  try {
    await generateCode(fresh);
    const [expected, actual] = await Promise.all([readFolder(join(fresh, folder)), readFolder(join(root, folder))]);
    const paths = new Set([...expected.keys(), ...actual.keys()]);
    return [...paths].filter((path) => expected.get(path) !== actual.get(path)).toSorted();
  } finally {
    await rm(fresh, { recursive: true });
  }
}

async function readFolder(path: string): Promise<Map<string, string>> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')));
  return new Map(files.map((file, index) => [file.slice(path.length + 1), texts[index] ?? '']));
}
