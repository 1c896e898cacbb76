import { join } from 'node:path';
import type { EmbeddedConfiguration } from './configuration.ts';
import type { FirstLookup, LookupKey } from './first-lookup.ts';
import { dialAddress, formatListenAddress } from './listen-address.ts';
import { describeSource, type Store } from './parts.ts';
import type { StateDirectory } from './state-directory.ts';

/** A lookup and what it was about. */
export interface Lookup extends FirstLookup {
  readonly key: LookupKey;
}

/** What there is to tell once everything runs. */
export interface SummaryOptions {
  readonly configuration: EmbeddedConfiguration;
  readonly state: Pick<StateDirectory, 'path' | 'logs'>;
  readonly socket: string;
  /** Where the sidecar takes changes from. */
  readonly source: string;
  readonly database: Store;
  readonly broker: Store | undefined;
  /** Undefined when the example has nothing to look up. */
  readonly lookup: Lookup | undefined;
}

/** The one that the CLI asks when it is not told another. */
const usualSidecar = '127.0.0.1:7401';

/** Tells how to use what runs: one call with its answer, and all addresses. */
export function describeProduct(options: SummaryOptions): string {
  const { configuration, state, database, broker, socket } = options;
  const sidecar = configuration.sidecar && formatListenAddress(dialAddress(configuration.sidecar));
  const controlPlane = formatListenAddress(dialAddress(configuration.controlPlane));
  // Then the port wants more than a line of example; the socket never does.
  const isGuarded = ['TM_SIDECAR_TOKEN', 'TM_SIDECAR_TLS_CERT'].some((name) =>
    Boolean(configuration.environment[name]),
  );
  // Data of a database of yours is none of ours.
  const emptied = database.part === undefined ? '' : `  (delete ${join(state.path, 'postgres')} to start empty)`;
  return [
    '',
    ...describeLookup(options.lookup, sidecar === undefined || isGuarded ? `unix:${socket}` : sidecar),
    `control plane  ${controlPlane}  (gRPC: tenants, routes, policies, Watch)`,
    ...(sidecar === undefined ? [] : [`sidecar        ${sidecar}  (gRPC: lookups)`]),
    `${sidecar === undefined ? 'sidecar' : '       '}        unix:${socket}`,
    `Postgres       ${database.usage}`,
    `NATS           ${broker?.usage ?? 'none'}`,
    `changes come   from ${describeSource(options.source)}`,
    `logs           ${state.logs}`,
    `state          ${state.path}${emptied}`,
    '',
    '',
  ].join('\n');
}

function describeLookup(lookup: Lookup | undefined, sidecar: string): string[] {
  if (lookup === undefined) return [];
  const { tenant, service, environment } = lookup.key;
  const body = JSON.stringify({ key: { tenant, service, environment } });
  return [
    `Where does a call to ${service} of ${tenant} go? Its policy chooses between its versions. Ask the sidecar:`,
    '',
    `  npm run cli -- resolve ${tenant}/${service}/${environment}${sidecar === usualSidecar ? '' : ` --sidecar ${sidecar}`}`,
    `  grpcurl -plaintext -import-path proto -proto trafficmanager/v1/resolver_service.proto \\`,
    `    -d '${body}' ${sidecar.replace(/^unix:/, '-unix ')} trafficmanager.v1.ResolverService/Resolve`,
    '',
    `It answered in ${lookup.tookMs.toFixed(1)} ms:`,
    '',
    ...lookup.answer.split('\n').map((line) => `  ${line}`),
    '',
  ];
}
