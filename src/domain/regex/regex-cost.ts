/**
 * What a regex costs: instructions of the program that RE2 makes of it, never fewer than there will be, weighted by what they
 * cost to compile (about 1 µs each). Known before anything is compiled: compiling `(a{1000}){73}` to find out that it is too
 * large takes longer than any lookup may, and one character class of 512 characters can cost 400 ms.
 *
 * One pass from left to right. What RE2 refuses anyway may get any number.
 */
export function regexCost(pattern: string): number {
  return new CostScan(pattern).total();
}

/** A Unicode class stands for hundreds of ranges. */
const unicodeClassCost = 200;
/** Where case is ignored RE2 walks the letters of a range one by one: 5 ms for one that ends far beyond Latin-1. */
const foldedWideRangeCost = 5_000;
/** Ranges of a character class that cost as much as one instruction. */
const rangesPerInstruction = 4;
/** Ranges that `\w`, `[:alpha:]` and their like stand for. */
const rangesPerNamedClass = 8;

const flagsOnly = /\(\?[a-zA-Z-]*\)/y;
const groupOpening = /\((?:\?(?:P?<[^>]*>|[a-zA-Z-]*:))?/y;
const bounds = /\{(\d*),?(\d*)\}/y;
const quoted = /\\Q([\s\S]*?)(?:\\E|$)/y;
const escaped = /\\(?:[pP](?:\{[^}]*\}|.)|x\{[^}]*\}|x[0-9A-Fa-f]{2}|[0-7]{1,3}|[\s\S])|\\$/uy;
const namedClass = /\[:\^?\w+:\]/y;

class CostScan {
  readonly #pattern: string;
  readonly #ignoresCase: boolean;
  /** Costs of the groups around the place, each without its last item, which a repetition may still multiply. */
  readonly #outer: { before: number; last: number }[] = [];
  #before = 0;
  #last = 0;
  #at = 0;

  constructor(pattern: string) {
    this.#pattern = pattern;
    this.#ignoresCase = /\(\?[a-zA-Z]*i/.test(pattern);
  }

  total(): number {
    while (this.#at < this.#pattern.length) this.#item();
    // Groups that are not closed are refused by RE2, but must not look cheap.
    const open = this.#outer.reduce((sum, { before, last }) => sum + before + last, 0);
    // The program's own first and last instruction, and one for an empty alternative.
    return open + this.#before + this.#last + 3;
  }

  #item(): void {
    switch (this.#pattern[this.#at]) {
      case '\\':
        return this.#escape();
      case '[':
        return this.#add(this.#class());
      case '(':
        return this.#open();
      case ')':
        return this.#close();
      case '*':
      case '+':
      case '?':
        this.#at++;
        this.#last += 2;
        return;
      case '{':
        return this.#repeat();
      case '|':
        this.#at++;
        return this.#add(2);
      case undefined:
      default:
        this.#character();
        return this.#add(1);
    }
  }

  #add(cost: number): void {
    this.#before += this.#last;
    this.#last = cost;
  }

  #open(): void {
    if (this.#take(flagsOnly) !== null) return;
    this.#take(groupOpening);
    this.#outer.push({ before: this.#before, last: this.#last });
    this.#before = 0;
    this.#last = 0;
  }

  #close(): void {
    this.#at++;
    // Two instructions mark what the group has caught; one stands for an empty alternative.
    const group = this.#before + this.#last + 3;
    const outer = this.#outer.pop() ?? { before: 0, last: 0 };
    this.#before = outer.before;
    this.#last = outer.last;
    this.#add(group);
  }

  #repeat(): void {
    const [text = '', min = '', max = ''] = this.#take(bounds) ?? [];
    if (min === '' && max === '') {
      // A brace that bounds nothing is text.
      this.#at += text === '' ? 1 : 0;
      return this.#add(Math.max(1, text.length));
    }
    // The item as often as it must come, then as often as it may, each time with the choice to stop; not at all still leaves
    // an instruction.
    const optional = Math.max(0, Number(max) - Number(min));
    this.#last = this.#last * Math.max(1, Number(min)) + (this.#last + 1) * optional + 2;
  }

  #escape(): void {
    const literal = this.#take(quoted)?.[1];
    // A repetition that follows repeats the last character only; to charge for all of them is on the safe side.
    if (literal !== undefined) return this.#add(literal.length + 1);
    const text = this.#take(escaped)?.[0] ?? '';
    this.#add(/^\\[pP]/.test(text) ? unicodeClassCost : 1);
  }

  /** From `[` to the `]` that ends it. */
  #class(): number {
    this.#at++;
    if (this.#pattern[this.#at] === '^') this.#at++;
    let ranges = 0;
    let extra = 0;
    for (let first = true; this.#at < this.#pattern.length; first = false) {
      if (this.#pattern[this.#at] === ']' && !first) break;
      const text = (this.#take(namedClass) ?? this.#take(escaped))?.[0] ?? this.#character();
      ranges += /^\\[dDsSwW]|^\[:/.test(text) ? rangesPerNamedClass : 1;
      if (/^\\[pP]/.test(text)) extra += unicodeClassCost;
      else if (this.#ignoresCase && isWide(text)) extra += foldedWideRangeCost;
    }
    this.#at++;
    return Math.max(1, Math.ceil(ranges / rangesPerInstruction)) + extra;
  }

  /** The character here, which is then behind us. */
  #character(): string {
    const character = String.fromCodePoint(this.#pattern.codePointAt(this.#at) ?? 0);
    this.#at += character.length;
    return character;
  }

  /** What an expression matches here, which is then behind us; null when it does not. */
  #take(expression: RegExp): RegExpExecArray | null {
    expression.lastIndex = this.#at;
    const taken = expression.exec(this.#pattern);
    if (taken !== null) this.#at += taken[0].length;
    return taken;
  }
}

/** A character of a class, as itself or as its escape, that may lie beyond Latin-1. */
function isWide(text: string): boolean {
  return text.startsWith('\\x{') || (text.codePointAt(0) ?? 0) > 0xff;
}
