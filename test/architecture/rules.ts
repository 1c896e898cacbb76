import { findCycles } from './cycles.ts';
import { importableByNobody, layerOf, mayImport, mayUsePackage } from './layers.ts';
import type { Layer } from './layers.ts';
import { resolveRelative } from './source-tree.ts';
import type { Import, SourceFile } from './source-tree.ts';

export type RuleName =
  | 'unknown-layer'
  | 'import-table'
  | 'main-import'
  | 'computed-import'
  | 'cycle'
  | 'file-size'
  | 'file-name'
  | 'default-export'
  | 'barrel'
  | 'banned-name';

/** One breach, with what to do instead. */
export interface Violation {
  readonly rule: RuleName;
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

/** STYLE.md rule 16. */
export const fileLinesMax = 400;

/** The one barrel: the front door of the public library. */
const barrels: readonly string[] = ['src/client/index.ts'];

/** Every breach of the house's structure in a tree. */
export function findViolations(files: readonly SourceFile[]): Violation[] {
  return [
    ...files.flatMap((file) => importViolations(file)),
    ...findCycles(files).map((cycle) => ({
      rule: 'cycle' as const,
      file: cycle[0] ?? '',
      line: 1,
      message: `import cycle ${[...cycle, cycle[0]].join(' -> ')}: move what both need into a third file.`,
    })),
    ...files.filter((file) => !isGenerated(file)).flatMap((file) => fileViolations(file)),
  ];
}

function importViolations(file: SourceFile): Violation[] {
  const from = layerOf(file.path);
  if (from === undefined) {
    const message = 'belongs to no layer: put it where its role is, or add a row to test/architecture/layers.ts.';
    return [{ rule: 'unknown-layer', file: file.path, line: 1, message }];
  }
  return file.imports.flatMap((each) => importViolation(file, from, each) ?? []);
}

function importViolation(file: SourceFile, from: Layer, imported: Import): Violation | undefined {
  const at = { file: file.path, line: imported.line };
  if (imported.form === 'computed') {
    // Tests may load what they generate; the product's imports must be provable.
    if (from.imports.includes('*')) return undefined;
    return {
      ...at,
      rule: 'computed-import',
      message: 'import a literal path, so that the import table can be proved.',
    };
  }
  const target = resolveRelative(file.path, imported.specifier);
  if (target === undefined) {
    if (mayUsePackage(from, imported.specifier)) return undefined;
    const message = `${from.name} may not use '${imported.specifier}': only ${list(from.packages)}. Put it behind a port or into platform/.`;
    return { ...at, rule: 'import-table', message };
  }
  const to = layerOf(target);
  if (to === undefined) return { ...at, rule: 'import-table', message: `'${target}' belongs to no layer.` };
  if (importableByNobody.includes(to.name)) {
    const message = `nobody imports a composition root: move what you need out of ${target}.`;
    return { ...at, rule: 'main-import', message };
  }
  if (mayImport(from, to)) return undefined;
  const message = `${from.name} may not import ${to.name} (${target}): only ${list(from.imports)}.`;
  return { ...at, rule: 'import-table', message };
}

function fileViolations(file: SourceFile): Violation[] {
  const violations: Violation[] = [];
  const add = (rule: RuleName, line: number, message: string): void => {
    violations.push({ rule, file: file.path, line, message });
  };
  const name = file.path.split('/').at(-1) ?? '';
  if (!/^[a-z0-9]+(-[a-z0-9]+)*(\.(test|contract|config))?\.ts$/.test(name)) {
    add('file-name', 1, 'name files in kebab-case after their one main export, with .ts.');
  }
  if (file.lines > fileLinesMax) {
    add('file-size', fileLinesMax, `${file.lines} lines, ${fileLinesMax} at most: split it by responsibility.`);
  }
  if (file.defaultExportLine !== undefined && !name.endsWith('.config.ts')) {
    add('default-export', file.defaultExportLine, 'export it by name: a name is one thing to search for.');
  }
  if (file.isBarrel && !barrels.includes(file.path)) {
    add('barrel', 1, 'import from the file that declares it: a barrel hides cycles and loads everything.');
  }
  const base = name.replace(/\..*$/, '');
  if (/(^|-)(manager|helpers?|utils?|impl)$/.test(base)) add('banned-name', 1, `${base}: ${roleAdvice}`);
  for (const declaration of file.declarations) {
    if (isBannedName(declaration.name)) add('banned-name', declaration.line, `${declaration.name}: ${roleAdvice}`);
    else if (declaration.kind !== 'function' && /^I[A-Z][a-z]/.test(declaration.name)) {
      add('banned-name', declaration.line, `${declaration.name}: an interface takes the plain name of the role.`);
    }
  }
  return violations;
}

const roleAdvice = 'name the role it plays (store, relay, source, clock), not that it is code.';

function isBannedName(name: string): boolean {
  // The product's own name ends in Manager.
  return /(Manager|Helpers?|Utils?|Impl)$/.test(name) && name !== 'TrafficManager';
}

function isGenerated(file: SourceFile): boolean {
  return file.path.startsWith('src/gen/');
}

function list(names: readonly string[]): string {
  return names.length === 0 ? 'nothing' : names.join(', ');
}
