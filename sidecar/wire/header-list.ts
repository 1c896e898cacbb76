import type { HeaderField } from './hpack/header-field.ts';

/** What a header block may be: RFC 9113 §8.1. */
export type HeaderSection = 'request' | 'response' | 'trailers';

/** The fields of one header block, in order, and what RFC 9113 §8.3 says about them. Never changed: blocks that come again share it. */
export class HeaderList {
  readonly fields: readonly HeaderField[];
  /** Whether it was larger than is allowed, and `fields` lack the rest. */
  readonly isTooLarge: boolean;
  method: string | undefined;
  scheme: string | undefined;
  authority: string | undefined;
  path: string | undefined;
  status: string | undefined;
  /** Undefined: none. */
  contentLength: number | undefined;
  #hasPseudo = false;
  #problem: string | undefined;

  constructor(fields: readonly HeaderField[], isTooLarge: boolean) {
    this.fields = fields;
    this.isTooLarge = isTooLarge;
    let isPastPseudo = false;
    for (const field of fields) {
      if (!field.isWellFormed) this.#problem = `the field ${JSON.stringify(field.name)} is not allowed`;
      switch (field.role) {
        case 'regular':
        case 'te':
        case 'connection_specific':
          isPastPseudo = true;
          continue;
        case 'content_length':
          isPastPseudo = true;
          this.#takeLength(field.value);
          continue;
        case 'unknown_pseudo':
          this.#problem = `${field.name} is no pseudo-header`;
          continue;
        case 'method':
          this.#takePseudo(field, this.method, isPastPseudo);
          this.method = field.value;
          continue;
        case 'scheme':
          this.#takePseudo(field, this.scheme, isPastPseudo);
          this.scheme = field.value;
          continue;
        case 'authority':
          this.#takePseudo(field, this.authority, isPastPseudo);
          this.authority = field.value;
          continue;
        case 'path':
          this.#takePseudo(field, this.path, isPastPseudo);
          this.path = field.value;
          continue;
        case 'status':
          this.#takePseudo(field, this.status, isPastPseudo);
          this.status = field.value;
      }
    }
  }

  /** Why it cannot be what it has to be (RFC 9113 §8.1.1: malformed); undefined: it can. */
  problemAs(section: HeaderSection): string | undefined {
    if (this.#problem !== undefined) return this.#problem;
    switch (section) {
      case 'request':
        if (this.status !== undefined) return 'a request has no :status';
        // §8.3.1. CONNECT, which lacks two of them, is not for us.
        if (this.method === undefined || this.scheme === undefined || !this.path)
          return 'a request has :method, :scheme and :path';
        return undefined;
      case 'response':
        if (this.status === undefined) return 'a response has a :status';
        return this.method === undefined && this.path === undefined && this.scheme === undefined
          ? undefined
          : 'a response has no pseudo-header but :status';
      case 'trailers':
        return this.#hasPseudo ? 'trailers have no pseudo-headers' : undefined;
    }
  }

  /** The first value of a field. */
  get(name: string): string | undefined {
    return this.find(name)?.value;
  }

  /** The first field of a name. */
  find(name: string): HeaderField | undefined {
    for (const field of this.fields) if (field.name === name) return field;
    return undefined;
  }

  #takePseudo({ name }: HeaderField, before: string | undefined, isPastPseudo: boolean): void {
    if (isPastPseudo) this.#problem = `${name} comes after other fields`;
    if (before !== undefined) this.#problem = `${name} comes twice`;
    this.#hasPseudo = true;
  }

  #takeLength(value: string): void {
    const length = /^\d{1,15}$/.test(value) ? Number(value) : undefined;
    if (length === undefined || (this.contentLength !== undefined && this.contentLength !== length))
      this.#problem = 'content-length is no number, or two';
    this.contentLength = length;
  }
}
