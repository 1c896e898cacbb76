import { FieldName, type FieldRole } from './field-name.ts';
import { isFieldValue } from './field-value.ts';

/** Counted for each field besides its name and value: RFC 7541 §4.1. */
const fieldOverheadBytes = 32;

export type FieldOptions = {
  readonly isNeverIndexed?: boolean;
  /** Whether its value has no character that it must not have, where that is known already. */
  readonly isValueWellFormed?: boolean;
};

const noOptions: FieldOptions = {};

/**
 * A header field. Strings hold one character for each byte (latin1). What must be known of it is found out once: fields of a
 * table are used again and again.
 */
export class HeaderField {
  readonly name: string;
  readonly value: string;
  readonly role: FieldRole;
  /** Its size in a table or list: RFC 7541 §4.1, RFC 9113 §6.5.2. */
  readonly bytes: number;
  /** Whether no table on its whole way may hold it: RFC 7541 §7.1.3. For secrets that are short, or guessed easily. */
  readonly isNeverIndexed: boolean;
  readonly #name: FieldName;
  /** Found out when it is asked for first: our own fields never are. */
  #isValueWellFormed: boolean | undefined;

  constructor(name: string | FieldName, value: string, options = noOptions) {
    const known = typeof name === 'string' ? new FieldName(name) : name;
    this.#name = known;
    this.name = known.text;
    this.value = value;
    this.role = known.role;
    this.isNeverIndexed = options.isNeverIndexed === true;
    this.bytes = known.text.length + value.length + fieldOverheadBytes;
    this.#isValueWellFormed = options.isValueWellFormed;
  }

  /** For another field of this name. */
  get fieldName(): FieldName {
    return this.#name;
  }

  /** Whether RFC 9113 §8.2 allows it anywhere. */
  get isWellFormed(): boolean {
    this.#isValueWellFormed ??= isFieldValue(Buffer.from(this.value, 'latin1'), 0, this.value.length);
    return this.#name.isWellFormed && this.#isValueWellFormed && (this.role !== 'te' || this.value === 'trailers');
  }
}
