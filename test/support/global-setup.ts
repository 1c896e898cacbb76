import type { TestProject } from 'vitest/node';
import { providePostgres, type ProvidedPostgres } from './postgres.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Of a superuser of the run's Postgres: `createDatabase(inject('postgresUrl'))`. */
    readonly postgresUrl: string;
  }
}

let postgres: ProvidedPostgres | undefined;

/** Vitest runs this once for each project that names the file, before its first test. */
export async function setup(project: TestProject): Promise<void> {
  postgres = await providePostgres();
  project.provide('postgresUrl', postgres.url);
}

/** And this after its last. */
export async function teardown(): Promise<void> {
  await postgres?.[Symbol.asyncDispose]();
}
