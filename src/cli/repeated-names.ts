import type { DocumentPath } from './document-position.ts';
import type { Manifest } from './manifest-schema.ts';

/** A name that its list already holds. */
export interface RepeatedName {
  readonly path: DocumentPath;
  readonly text: string;
}

/**
 * Every name that stands twice in its list. Two entries for one route would overwrite each other on every apply, which would
 * then never converge.
 */
export function repeatedNames(manifest: Manifest): RepeatedName[] {
  return [
    ...repeatedIn(manifest.tenants, 'tenant', ['tenants']),
    ...manifest.tenants.flatMap(({ services = [] }, tenant) => {
      const servicesPath = ['tenants', tenant, 'services'];
      return [
        ...repeatedIn(services, 'service', servicesPath),
        ...services.flatMap(({ environments }, service) => {
          const environmentsPath = [...servicesPath, service, 'environments'];
          return [
            ...repeatedIn(environments, 'environment', environmentsPath),
            ...environments.flatMap(({ routes = [] }, environment) =>
              repeatedIn(routes, 'version', [...environmentsPath, environment, 'routes']),
            ),
          ];
        }),
      ];
    }),
  ];
}

function repeatedIn<Name extends string>(
  entries: readonly Readonly<Record<Name, string>>[],
  name: Name,
  listPath: DocumentPath,
): RepeatedName[] {
  const seen = new Set<string>();
  return entries.flatMap((entry, index) => {
    const repeated = seen.has(entry[name]);
    seen.add(entry[name]);
    return repeated ? [{ path: [...listPath, index, name], text: `"${entry[name]}" is already in this list` }] : [];
  });
}
