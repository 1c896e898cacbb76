import { describe, expect, test } from 'vitest';
import { validateEndpoints } from '../../../src/domain/endpoint.ts';
import { DomainError, type FieldViolation } from '../../../src/domain/domain-error.ts';
import { Violations } from '../../../src/domain/validation.ts';
import { exampleEndpoint } from '../../fakes/example-configuration.ts';

function violationsOf(url: string): readonly FieldViolation[] {
  const violations = new Violations();
  validateEndpoints(violations, 'route.endpoints', [exampleEndpoint({ url })]);
  try {
    violations.assertNone();
    return [];
  } catch (error) {
    if (error instanceof DomainError) return error.violations;
    throw error;
  }
}

describe("an endpoint's URL", () => {
  test.for([
    ['a name and a port', 'grpc://cart.acme.internal:8443'],
    ['a name alone', 'grpc://cart'],
    ['each scheme: grpcs', 'grpcs://cart:443'],
    ['each scheme: http', 'http://cart:80'],
    ['each scheme: https', 'https://cart'],
    ['a path', 'https://cart/v1/carts'],
    ['a path that is only a slash', 'http://cart/'],
    ['a path with a percent-encoded space', 'http://cart/a%20b'],
    ['a path with an at sign and a colon', 'http://cart/users/@me:latest'],
    ['IPv4', 'http://10.0.0.1:8080'],
    ['IPv6', 'grpc://[::1]:8443'],
    ['IPv6 without a port', 'http://[2001:db8::1]'],
    ['IPv6 that maps IPv4', 'grpc://[::ffff:10.0.0.1]:1'],
    ['an underscore in the host', 'grpc://cart_v2:80'],
    ['upper case in the host', 'grpc://Cart.Acme.Internal:80'],
    ['a punycode host', 'grpc://xn--krt-0na.example:80'],
    ['port 1', 'grpc://cart:1'],
    ['port 65535', 'grpc://cart:65535'],
    ['a host of 253 characters', `grpc://${'a.'.repeat(126)}a:80`],
    ['2,048 characters', `http://cart/${'a'.repeat(2_048 - 'http://cart/'.length)}`],
  ] as const)('may have %s', ([, url]) => {
    expect(violationsOf(url)).toEqual([]);
  });

  test.for([
    ['nothing', ''],
    ['no scheme', 'cart:8443'],
    ['no scheme but slashes', '//cart:8443'],
    ['another scheme', 'ftp://cart'],
    ['a scheme that runs code', 'javascript://cart/%0aalert(1)'],
    ['a file', 'file:///etc/passwd'],
    ['a Unix socket', 'unix:///var/run/cart.sock'],
    ['an upper case scheme', 'GRPC://cart'],
    ['one slash', 'grpc:/cart'],
    ['three slashes', 'grpc:///cart'],
    ['no host', 'grpc://'],
    ['no host but a port', 'grpc://:8443'],
    ['no host but a path', 'http:///path'],
    ['port 0', 'grpc://cart:0'],
    ['port 00', 'grpc://cart:00'],
    ['port 65536', 'grpc://cart:65536'],
    ['a negative port', 'grpc://cart:-1'],
    ['an empty port', 'grpc://cart:'],
    ['an empty port before a path', 'http://cart:/path'],
    ['a port of letters', 'grpc://cart:http'],
    ['a hexadecimal port', 'grpc://cart:0x50'],
    ['a port with a space', 'grpc://cart: 80'],
    ['two ports', 'grpc://cart:80:81'],
    ['a user', 'grpc://user@cart'],
    ['a user and a password', 'http://user:secret@cart:80'],
    ['an empty user', 'http://@cart'],
    ['a query', 'http://cart/path?x=1'],
    ['an empty query', 'http://cart?'],
    ['a fragment', 'http://cart/path#top'],
    ['an empty fragment', 'http://cart#'],
    ['a space in front', ' grpc://cart'],
    ['a space at the end', 'grpc://cart '],
    ['a space in the host', 'grpc://ca rt'],
    ['a space in the path', 'http://cart/a b'],
    ['a line break at the end', 'grpc://cart\n'],
    ['a line break inside', 'grpc://ca\nrt'],
    ['a tab in the scheme', 'gr\tpc://cart'],
    ['a NUL in the host', 'grpc://cart\u0000'],
    ['a NUL in the path', 'http://cart/\u0000'],
    ['a control character in the path', 'http://cart/\u0001'],
    ['DEL in the path', 'http://cart/\u007F'],
    ['U+FFFD in the path', 'http://cart/\uFFFD'],
    ['a letter beyond ASCII in the path', 'http://cart/körbe'],
    ['a backslash in the path', 'http://cart/a\\b'],
    ['a quote in the path', 'http://cart/"'],
    ['a percent sign that encodes nothing', 'http://cart/100%'],
    ['a host beyond ASCII', 'grpc://kärt'],
    ['a Cyrillic host', 'grpc://сart'],
    ['an emoji host', 'grpc://🛒'],
    ['a percent-encoded host', 'grpc://ca%72t'],
    ['doubled dots in the host', 'grpc://cart..internal'],
    ['a leading dot', 'grpc://.cart'],
    ['a leading hyphen', 'grpc://-cart'],
    ['a trailing hyphen', 'grpc://cart-'],
    ['a wildcard', 'grpc://*.cart'],
    ['a comma-separated list of hosts', 'grpc://a,b'],
    ['an IPv4 number above 255', 'grpc://10.0.0.256:80'],
    ['IPv6 without brackets', 'grpc://::1:80'],
    ['IPv6 that is none', 'grpc://[:::1]:80'],
    ['an unclosed bracket', 'grpc://[::1'],
    ['empty brackets', 'grpc://[]'],
    ['text behind the brackets', 'grpc://[::1]x'],
    ['an IPv6 zone', 'grpc://[fe80::1%25eth0]:80'],
    ['a name in brackets', 'grpc://[cart]:80'],
    ['a host of 254 characters', `grpc://${'a.'.repeat(126)}aa:80`],
    ['2,049 characters', `http://cart/${'a'.repeat(2_049 - 'http://cart/'.length)}`],
    ['a megabyte of path', `http://cart/${'a'.repeat(1_000_000)}`],
    ['a megabyte of hyphens', `http://${'-'.repeat(1_000_000)}`],
  ] as const)('is refused with %s', ([, url]) => {
    const violations = violationsOf(url);
    expect(violations.map(({ field }) => field)).toEqual(['route.endpoints[0].url']);
  });

  test('a user is named as such, and never repeated in the answer', () => {
    const [violation] = violationsOf('http://user:secret@cart:80');
    expect(violation?.description).toBe('must not hold a user or password');
  });
});
