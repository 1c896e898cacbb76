import { codeLengths, codes, endOfString } from './huffman-code.ts';

/**
 * A machine that takes four bits a step. A step's entry: the next state in bits 0-7, the symbol in bits 8-15, and two flags.
 * No code is shorter than 5 bits, so a step ends one symbol at most. 256 states x 16 steps x 4 B = 16 KiB.
 */
const emits = 1 << 16;
const fails = 1 << 17;
const steps = new Int32Array(256 * 16);
/** Whether a string may end in a state: RFC 7541 §5.2 wants fewer than 8 bits of padding, all ones. */
const mayEnd = new Uint8Array(256);

type Node = { zero?: Node; one?: Node; symbol?: number; state?: number };

buildMachine();

/** Decodes into `target`, which must have room for 8/5 of the bytes; answers how many it wrote, or -1 when the code is broken. */
export function huffmanDecode(source: Uint8Array, from: number, to: number, target: Uint8Array): number {
  let state = 0;
  let written = 0;
  for (let at = from; at < to; at++) {
    const byte = source[at] as number;
    let step = steps[(state << 4) | (byte >>> 4)] as number;
    if ((step & emits) !== 0) target[written++] = step >>> 8;
    else if ((step & fails) !== 0) return -1;
    step = steps[((step & 0xff) << 4) | (byte & 0xf)] as number;
    if ((step & emits) !== 0) target[written++] = step >>> 8;
    else if ((step & fails) !== 0) return -1;
    state = step & 0xff;
  }
  return mayEnd[state] === 1 ? written : -1;
}

function buildMachine(): void {
  const root: Node = {};
  for (let symbol = 0; symbol <= endOfString; symbol++) {
    let node = root;
    for (let bit = (codeLengths[symbol] as number) - 1; bit >= 0; bit--) {
      if ((((codes[symbol] as number) >>> bit) & 1) === 0) node = node.zero ??= {};
      else node = node.one ??= {};
    }
    node.symbol = symbol;
  }
  const inner = number(root);
  for (const node of inner)
    for (let nibble = 0; nibble < 16; nibble++) steps[((node.state ?? 0) << 4) | nibble] = stepOf(root, node, nibble);
  // The root, and what lies on the path of ones for up to 7 bits.
  let padding: Node | undefined = root;
  for (let bits = 0; bits < 8 && padding !== undefined; bits++) {
    mayEnd[padding.state ?? 0] = 1;
    padding = padding.one;
  }
}

/** Gives each node that is no symbol a number, the root 0: 257 symbols make 256 of them. */
function number(root: Node): Node[] {
  const inner = [root];
  for (const node of inner) {
    for (const child of [node.zero, node.one]) if (child !== undefined && child.symbol === undefined) inner.push(child);
  }
  for (const [state, node] of inner.entries()) node.state = state;
  return inner;
}

function stepOf(root: Node, from: Node, nibble: number): number {
  let node = from;
  let result = 0;
  for (let bit = 3; bit >= 0; bit--) {
    const next = ((nibble >>> bit) & 1) === 0 ? node.zero : node.one;
    // §5.2: the end of the string, spelled out, is an error.
    if (next === undefined || next.symbol === endOfString) return fails;
    node = next;
    if (next.symbol !== undefined) {
      result = emits | (next.symbol << 8);
      node = root;
    }
  }
  return result | (node.state ?? 0);
}
