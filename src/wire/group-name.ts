/** Fields of a RouteKey, in route.proto: a byte of tag and one of length before each text. */
export const keyTag = { tenant: 0x0a, service: 0x12, environment: 0x1a, version: 0x22 } as const;
export const nameHeadBytes = 2;

/** Writes a service and an environment as they stand in a RouteKey; where they end. They are ASCII, and of 127 characters at most. */
export function writeGroupName(buffer: Buffer, at: number, service: string, environment: string): number {
  return writeName(buffer, writeName(buffer, at, keyTag.service, service), keyTag.environment, environment);
}

function writeName(buffer: Buffer, at: number, tag: number, text: string): number {
  buffer[at] = tag;
  buffer[at + 1] = text.length;
  const textAt = at + nameHeadBytes;
  for (let index = 0; index < text.length; index++) buffer[textAt + index] = text.charCodeAt(index);
  return textAt + text.length;
}

export function groupNameBytes(service: string, environment: string): number {
  return 2 * nameHeadBytes + service.length + environment.length;
}

/** Reads what {@link writeGroupName} has written. */
export function readGroupName(buffer: Buffer, start: number, end: number): { service: string; environment: string } {
  const environmentAt = start + nameHeadBytes + (buffer[start + 1] ?? 0);
  return {
    service: buffer.toString('latin1', start + nameHeadBytes, environmentAt),
    environment: buffer.toString('latin1', environmentAt + nameHeadBytes, end),
  };
}
