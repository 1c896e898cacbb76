import { globSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { parseSync, Visitor } from 'oxc-parser';
import type { Expression } from 'oxc-parser';

/** How one file names another. `computed`: an `import()` or `require()` whose specifier is not a literal. */
export type ImportForm = 'static' | 'type' | 're-export' | 'dynamic' | 'import-type' | 'require' | 'computed';

export interface Import {
  readonly form: ImportForm;
  /** As written; empty when computed. */
  readonly specifier: string;
  readonly line: number;
}

export interface Declaration {
  readonly kind: 'class' | 'interface' | 'type' | 'function';
  readonly name: string;
  readonly line: number;
}

/** What the rules need to know of one file. */
export interface SourceFile {
  /** From the root of the tree, with `/`. */
  readonly path: string;
  readonly lines: number;
  readonly imports: readonly Import[];
  readonly declarations: readonly Declaration[];
  /** The line of its default export, if it has one. */
  readonly defaultExportLine: number | undefined;
  /** Whether it declares nothing and re-exports others. */
  readonly isBarrel: boolean;
}

/** Reads the code under a root. Throws when a file does not parse: an unread file proves nothing. */
export function readSourceTree(root: string): SourceFile[] {
  // Every extension that Node would run, so that no file escapes by its name.
  const extension = '{ts,mts,cts,tsx,js,mjs,cjs,jsx}';
  const folders = ['src/**', 'sidecar/**', 'deploy/**', 'test/**', '.'];
  return globSync(
    folders.map((folder) => `${folder}/*.${extension}`),
    { cwd: root, exclude: (path) => /(^|\/)(node_modules|fixtures)$/.test(path) },
  )
    .map((path) => path.replaceAll('\\', '/'))
    .toSorted()
    .map((path) => parseSource(path, readFileSync(join(root, path), 'utf8')));
}

/** Parses one file with oxc: strings, comments and templates that look like imports are not mistaken for them. */
export function parseSource(path: string, text: string): SourceFile {
  const { program, errors } = parseSync(path, text, { lang: 'ts' });
  if (errors.length > 0) throw new Error(`${path} does not parse: ${errors[0]?.message}`);

  const imports: Import[] = [];
  const declarations: Declaration[] = [];
  let defaultExportLine: number | undefined;
  const lineAt = (offset: number): number => text.slice(0, offset).split('\n').length;
  const add = (form: ImportForm, specifier: string, offset: number): void => {
    imports.push({ form, specifier, line: lineAt(offset) });
  };
  const addLiteral = (form: ImportForm, source: Expression | undefined, offset: number): void => {
    const literal = source === undefined ? undefined : literalText(source);
    if (literal === undefined) add('computed', '', offset);
    else add(form, literal, offset);
  };
  const declare = (kind: Declaration['kind'], id: { name: string } | null, offset: number): void => {
    if (id !== null) declarations.push({ kind, name: id.name, line: lineAt(offset) });
  };

  new Visitor({
    ImportDeclaration(node) {
      const typesOnly =
        node.importKind === 'type' ||
        (node.specifiers.length > 0 &&
          node.specifiers.every((each) => each.type === 'ImportSpecifier' && each.importKind === 'type'));
      add(typesOnly ? 'type' : 'static', node.source.value, node.start);
    },
    ExportAllDeclaration: (node) => add('re-export', node.source.value, node.start),
    ExportNamedDeclaration(node) {
      if (node.source !== null) add('re-export', node.source.value, node.start);
      if (node.specifiers.some((each) => isNamedDefault(each.exported))) defaultExportLine = lineAt(node.start);
    },
    ExportDefaultDeclaration(node) {
      defaultExportLine = lineAt(node.start);
    },
    TSExportAssignment(node) {
      defaultExportLine = lineAt(node.start);
    },
    ImportExpression: (node) => addLiteral('dynamic', node.source, node.start),
    TSImportType: (node) => add('import-type', node.source.value, node.start),
    TSExternalModuleReference: (node) => add('require', node.expression.value, node.start),
    CallExpression(node) {
      if (node.callee.type !== 'Identifier' || node.callee.name !== 'require') return;
      const argument = node.arguments[0];
      addLiteral('require', argument?.type === 'SpreadElement' ? undefined : argument, node.start);
    },
    ClassDeclaration: (node) => declare('class', node.id, node.start),
    FunctionDeclaration: (node) => declare('function', node.id, node.start),
    TSInterfaceDeclaration: (node) => declare('interface', node.id, node.start),
    TSTypeAliasDeclaration: (node) => declare('type', node.id, node.start),
  }).visit(program);

  const reExports = program.body.filter(
    (statement) =>
      statement.type === 'ExportAllDeclaration' ||
      (statement.type === 'ExportNamedDeclaration' && statement.source !== null),
  );
  return {
    path,
    lines: text.split('\n').length - (text.endsWith('\n') ? 1 : 0),
    imports,
    declarations,
    defaultExportLine,
    isBarrel: reExports.length > 0 && reExports.length === program.body.length,
  };
}

/** The path in the tree that a relative specifier names; undefined for a package. */
export function resolveRelative(from: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined;
  return posix.join(posix.dirname(from), specifier);
}

function literalText(expression: Expression): string | undefined {
  if (expression.type === 'Literal' && typeof expression.value === 'string') return expression.value;
  if (expression.type === 'TemplateLiteral' && expression.expressions.length === 0) {
    return expression.quasis[0]?.value.cooked ?? undefined;
  }
  return undefined;
}

function isNamedDefault(exported: { type: string; name?: string; value?: unknown }): boolean {
  return exported.name === 'default' || exported.value === 'default';
}
