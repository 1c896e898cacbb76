import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { stringify } from 'yaml';
import { messageToJson } from './message-to-json.ts';

/** How results are written. */
export type OutputFormat = 'json' | 'yaml';

/** Where the results of a command go; nothing else is written there. */
export interface Output {
  /** Writes the one result of a command, for people: indented. */
  result(value: unknown): Promise<void>;
  /**
   * Writes each of many results, for pipes: a JSON line, or a YAML document. Reads no faster than its reader does. Ctrl-C is how
   * an endless stream ends, so that is no failure.
   */
  stream(values: AsyncIterable<unknown>): Promise<void>;
}

/** `signal` is Ctrl-C; it also ends the wait for a slow reader. */
export function createOutput(target: Writable, format: OutputFormat, signal: AbortSignal): Output {
  async function write(text: string): Promise<void> {
    if (!target.write(text)) await once(target, 'drain', { signal });
  }
  const formatResult = (value: unknown) =>
    format === 'yaml' ? stringify(messageToJson(value)) : `${JSON.stringify(messageToJson(value), null, 2)}\n`;
  const formatItem = (value: unknown) =>
    format === 'yaml' ? `---\n${formatResult(value)}` : `${JSON.stringify(messageToJson(value))}\n`;
  return {
    result: (value) => write(formatResult(value)),
    async stream(values) {
      try {
        for await (const value of values) await write(formatItem(value));
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    },
  };
}
