/** A setting that cannot be used: its message is one line that names the variable and what would be right. */
export class SettingError extends Error {}

/** Reads settings from environment variables, each checked, each with its default; the errors say what to do. */
export class Environment {
  readonly #variables: NodeJS.ProcessEnv;

  constructor(variables: NodeJS.ProcessEnv) {
    this.#variables = variables;
  }

  /** The text of a variable; undefined when it is not set or empty. */
  optional(name: string): string | undefined {
    const value = this.#variables[name]?.trim();
    return value === '' ? undefined : value;
  }

  text(name: string, fallback: string): string {
    return this.optional(name) ?? fallback;
  }

  required(name: string, example: string): string {
    const value = this.optional(name);
    if (value === undefined) throw new SettingError(`${name} is not set; set it, for example ${name}=${example}`);
    return value;
  }

  /** What a caller sends to be believed; undefined when it is not set. Never repeated in an error. */
  secret(name: string): string | undefined {
    const text = this.optional(name);
    if (text !== undefined && !/^[\u0021-\u007E]{16,}$/.test(text))
      throw new SettingError(`${name} must be 16 or more printable ASCII characters without spaces`);
    return text;
  }

  /** A whole number in a range. */
  integer(name: string, options: { fallback: number; min: number; max: number }): number {
    const text = this.optional(name);
    if (text === undefined) return options.fallback;
    const value = Number(text);
    if (!Number.isInteger(value) || value < options.min || value > options.max) {
      throw new SettingError(`${name}=${text} is not a whole number from ${options.min} to ${options.max}`);
    }
    return value;
  }

  oneOf<const Choice extends string>(name: string, choices: readonly Choice[], fallback: Choice): Choice {
    const text = this.optional(name);
    if (text === undefined) return fallback;
    const choice = choices.find((candidate) => candidate === text);
    if (choice === undefined) throw new SettingError(`${name}=${text} is not one of ${choices.join(', ')}`);
    return choice;
  }

  /** `host:port` to listen on. */
  address(name: string, fallback: string): string {
    const text = this.text(name, fallback);
    const match = /^(?:\[[0-9A-Fa-f:.]+\]|[^:\s/]+):(?<port>\d{1,5})$/.exec(text);
    if (match === null || Number(match.groups?.['port']) > 65_535)
      throw new SettingError(`${name}=${text} is not an address such as ${fallback}`);
    return text;
  }

  /** A URL with one of the protocols (`grpc`, without the colon). */
  url(name: string, options: { value: string; protocols: readonly string[]; example: string }): string {
    const { value, protocols, example } = options;
    const protocol = URL.canParse(value) ? new URL(value).protocol.slice(0, -1) : undefined;
    // The value itself is not repeated: it may hold a password.
    if (protocol === undefined || !protocols.includes(protocol))
      throw new SettingError(`${name} is not a URL such as ${example}`);
    return value;
  }
}
