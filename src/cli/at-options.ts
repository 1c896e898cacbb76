import { InvalidArgumentError, Option, type Command } from 'commander';
import type { ResolveRequest } from '../client/index.ts';
import { parseDurationMs } from './duration.ts';
import { parseRevision } from './option-values.ts';

/** A point in the past. */
export interface AtOptions {
  readonly atRevision?: bigint;
  readonly atTime?: Date;
}

const timeForm = 'such as 2026-11-22T17:03:00Z, or 1h: that long ago';
/** RFC 3339: a date, a time and a zone. What leaves some of it out means different moments to different people. */
const timePattern = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:[Zz]|[+-]\d{2}:\d{2})$/;

export function addAtOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--at-revision <revision>', 'as it was at this revision').argParser(parseRevision).conflicts('atTime'),
    )
    .addOption(timeOption('--at-time', 'as it was at this moment'));
}

/** An option that takes a moment. */
export function timeOption(name: string, description: string): Option {
  return new Option(`${name} <time>`, `${description}, ${timeForm}`).argParser(parseTime);
}

/** As requests want it. */
export function atOf({ atRevision, atTime }: AtOptions): ResolveRequest['at'] {
  if (atRevision !== undefined) return { $case: 'atRevision', value: atRevision };
  return atTime === undefined ? undefined : { $case: 'atTime', value: atTime };
}

function parseTime(text: string): Date {
  const agoMs = parseDurationMs(text);
  if (agoMs !== undefined) return new Date(Date.now() - agoMs);
  const time = timePattern.test(text) ? new Date(text) : undefined;
  if (time === undefined || Number.isNaN(time.getTime())) {
    throw new InvalidArgumentError(`It must be a time ${timeForm}.`);
  }
  return time;
}
