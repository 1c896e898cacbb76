import { isAlias, isMap, isScalar, isSeq, type Document, type Node, type Pair } from 'yaml';

/** A place inside a document: keys of maps, places in lists. */
export type DocumentPath = readonly PropertyKey[];

/** Where the value at `path` begins, in characters; undefined when there is none. */
export function offsetOfValue(document: Document, path: DocumentPath): number | undefined {
  return nodeAt(document, path)?.range?.[0];
}

/** Where the key `key` of the map at `path` begins; undefined when there is none. */
export function offsetOfKey(document: Document, path: DocumentPath, key: string): number | undefined {
  const node = nodeAt(document, path);
  if (!isMap<Node, Node | null>(node)) return undefined;
  return pairOf(node.items, key)?.key.range?.[0];
}

/** `tenants[0].services[1]`. */
export function formatPath(path: DocumentPath): string {
  return path
    .map((part, index) => (typeof part === 'number' ? `[${part}]` : `${index === 0 ? '' : '.'}${String(part)}`))
    .join('');
}

function nodeAt(document: Document, path: DocumentPath): Node | undefined {
  let node = resolve(document, document.contents);
  for (const part of path) {
    if (isMap<Node, Node | null>(node)) node = resolve(document, pairOf(node.items, String(part))?.value);
    else if (isSeq<Node>(node)) node = resolve(document, node.items[Number(part)]);
    else return undefined;
  }
  return node;
}

function pairOf(items: readonly Pair<Node, Node | null>[], key: string): Pair<Node, Node | null> | undefined {
  return items.find((pair) => isScalar(pair.key) && String(pair.key.value) === key);
}

/** What an alias stands for: that is where the value is written, and where it has to be mended. */
function resolve(document: Document, node: Node | null | undefined): Node | undefined {
  return (isAlias(node) ? node.resolve(document) : node) ?? undefined;
}
