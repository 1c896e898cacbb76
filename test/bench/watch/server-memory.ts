import type { BenchServer } from '../spawn-server.ts';

/** What a watch server holds, bytes. */
export type ServerMemory = { readonly rss: number; readonly heapUsed: number };

/** After its garbage is gone. */
export async function memoryOf(server: BenchServer): Promise<ServerMemory> {
  return (await server.ask('memory')) as ServerMemory;
}
