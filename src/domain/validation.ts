import { invalidFields, type FieldViolation } from './domain-error.ts';
import { limits } from './limits.ts';

const namePattern = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
// Dots only between other characters: no leading, trailing or doubled one; the length is checked apart.
const versionPattern = /^[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*$/;
/** What a decoder puts in the place of bytes that are not UTF-8. */
const replacementCharacter = '\uFFFD';
// oxlint-disable-next-line no-control-regex -- control characters are what this looks for
const controlCharacters = /[\u0000-\u001F\u007F]/;

/** That one refusal lists: a batch that is wrong everywhere must not answer with megabytes of it. */
const violationsMax = 100;

/** Collects everything that is wrong with a request, so that the caller is told all of it at once. */
export class Violations {
  readonly #list: FieldViolation[] = [];

  add(field: string, description: string): void {
    if (this.#list.length < violationsMax) this.#list.push({ field, description });
  }

  /** A tenant, service or environment. */
  name(field: string, value: string): void {
    if (value === '') this.add(field, 'is required');
    else if (!namePattern.test(value)) {
      this.add(
        field,
        `must match [a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?: lower case letters, digits and inner hyphens, ${limits.nameLengthMax} at most`,
      );
    }
  }

  version(field: string, value: string): void {
    if (value === '') this.add(field, 'is required');
    else if (value.length > limits.nameLengthMax || !versionPattern.test(value)) {
      this.add(
        field,
        `must be letters, digits, inner hyphens and single inner dots, ${limits.nameLengthMax} characters at most`,
      );
    }
  }

  /** Free text, counted in characters (code points). */
  text(field: string, value: string, lengthMax: number): void {
    if (isLonger(value, lengthMax)) this.add(field, `is longer than ${lengthMax} characters`);
    if (value.includes(replacementCharacter)) this.add(field, 'is not valid UTF-8, or holds U+FFFD');
    else if (controlCharacters.test(value)) this.add(field, 'holds control characters');
  }

  integer(field: string, value: number, range: { min: number; max: number }): void {
    if (!Number.isInteger(value) || value < range.min || value > range.max) {
      this.add(field, `must be a whole number from ${range.min} to ${range.max}`);
    }
  }

  labels(field: string, labels: Readonly<Record<string, string>>): void {
    const keys = Object.keys(labels);
    if (keys.length > limits.labelsMax) this.add(field, `has more than ${limits.labelsMax} entries`);
    for (const key of keys.slice(0, limits.labelsMax)) {
      const path = `${field}[${JSON.stringify(key)}]`;
      if (key === '') this.add(path, 'the key is empty');
      this.text(path, key, limits.labelKeyLengthMax);
      this.text(path, labels[key] ?? '', limits.labelValueLengthMax);
    }
  }

  get isEmpty(): boolean {
    return this.#list.length === 0;
  }

  /** Throws INVALID_FIELDS when anything was added. */
  assertNone(): void {
    if (this.#list.length > 0) throw invalidFields(this.#list);
  }
}

/** A character has one or two UTF-16 units, so most texts are decided by their length; only the rest are counted. */
function isLonger(text: string, charactersMax: number): boolean {
  if (text.length <= charactersMax) return false;
  return text.length > 2 * charactersMax || Array.from(text).length > charactersMax;
}
