import { limits } from './limits.ts';
import type { Violations } from './validation.ts';

/** One address of a route. */
export type Endpoint = {
  readonly url: string;
  /** Share of calls relative to its siblings; 0 drains it. */
  readonly weight: number;
  /** Failure domain; '' when unknown. */
  readonly zone: string;
  /** Failover group: a group is used only while no endpoint of a lower number is healthy. */
  readonly priority: number;
  readonly labels: Readonly<Record<string, string>>;
};

const schemes: ReadonlySet<string> = new Set(['grpc', 'grpcs', 'http', 'https']);
// Host characters of RFC 3986 that are also sane in practice: DNS names, IPv4, and IPv6 in brackets.
const hostnamePattern = /^(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])$/;
// A path has the characters of RFC 3986 only: what else there is (control characters, spaces, letters beyond ASCII) stands there
// percent-encoded, because not every gRPC stack, log and terminal that gets the URL survives it as it is.
const urlShape =
  /^(?<scheme>[a-z]+):\/\/(?<authority>[^/?#]+)(?:\/(?:[-A-Za-z0-9._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*)?$/;

/** Adds what is wrong with an endpoint's URL. The WHATWG parser alone is too kind: it mends what we want refused. */
function validateUrl(violations: Violations, field: string, url: string): void {
  if (url === '') return violations.add(field, 'is required');
  if (url.length > limits.endpointUrlLengthMax)
    return violations.add(field, `is longer than ${limits.endpointUrlLengthMax} characters`);
  const wanted = 'must be grpc, grpcs, http or https with a host, such as grpc://cart.acme.internal:8443';
  const { scheme = '', authority = '' } = urlShape.exec(url)?.groups ?? {};
  // As http whatever the scheme is: the parser looks into IPv4 numbers only there.
  if (!schemes.has(scheme) || !URL.canParse(`http://${authority}`)) return violations.add(field, wanted);
  if (authority.includes('@')) return violations.add(field, 'must not hold a user or password');
  const match = /^(?<host>\[[^\]]*\]|[^:]*)(?::(?<port>[0-9]*))?$/.exec(authority);
  const host = match?.groups?.['host'];
  if (host === undefined || !hostnamePattern.test(host) || host.includes('..')) return violations.add(field, wanted);
  const port = match?.groups?.['port'];
  if (port !== undefined && !(/^[0-9]{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535)) {
    return violations.add(field, 'has a port that is not from 1 to 65535');
  }
}

/** Adds everything that is wrong with the endpoints of one route. */
export function validateEndpoints(violations: Violations, field: string, endpoints: readonly Endpoint[]): void {
  if (endpoints.length === 0) return violations.add(field, 'needs at least one endpoint');
  if (endpoints.length > limits.endpointsPerRouteMax)
    return violations.add(field, `has more than ${limits.endpointsPerRouteMax} entries`);
  const seen = new Set<string>();
  for (const [index, endpoint] of endpoints.entries()) {
    const path = `${field}[${index}]`;
    validateUrl(violations, `${path}.url`, endpoint.url);
    if (seen.has(endpoint.url)) violations.add(`${path}.url`, 'stands twice in this route');
    seen.add(endpoint.url);
    violations.integer(`${path}.weight`, endpoint.weight, { min: 0, max: limits.endpointWeightMax });
    violations.integer(`${path}.priority`, endpoint.priority, { min: 0, max: limits.endpointPriorityMax });
    violations.text(`${path}.zone`, endpoint.zone, limits.nameLengthMax);
    violations.labels(`${path}.labels`, endpoint.labels);
  }
  if (!endpoints.some(({ weight }) => weight > 0))
    violations.add(field, 'needs at least one endpoint with a weight above 0');
}
