import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';

/** A certificate and its key, in PEM. */
export type Issued = { readonly certificate: string; readonly key: string };

/**
 * An authority that a test makes for itself: nothing that expires is checked in, and no program has to be installed. DER by
 * hand, of X.509 (RFC 5280) just what TLS looks at.
 */
export class TestAuthority {
  /** Its own certificate, in PEM. */
  readonly certificate: string;
  readonly #key: KeyObject;
  readonly #name: Buffer;

  constructor(name = 'test authority') {
    const { privateKey, publicKey } = keyPair();
    this.#key = privateKey;
    this.#name = nameOf(name);
    const isAuthority = extension('551d13', [sequence(Buffer.from([0x01, 0x01, 0xff]))], true);
    this.certificate = this.#sign({ subject: this.#name, publicKey, extensions: [isAuthority] });
  }

  /** Of `localhost` and 127.0.0.1, for a server or a client. */
  issue(name = 'localhost'): Issued {
    const { privateKey, publicKey } = keyPair();
    const names = [tagged(0x82, Buffer.from('localhost')), tagged(0x87, Buffer.from([127, 0, 0, 1]))];
    const extensions = [extension('551d11', [sequence(...names)], false)];
    const certificate = this.#sign({ subject: nameOf(name), publicKey, extensions });
    return { certificate, key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() };
  }

  #sign({ subject, publicKey, extensions }: { subject: Buffer; publicKey: KeyObject; extensions: Buffer[] }): string {
    const body = sequence(
      tagged(0xa0, tagged(0x02, Buffer.from([2]))),
      tagged(0x02, Buffer.concat([Buffer.from([1]), randomBytes(15)])),
      ecdsaWithSha256,
      this.#name,
      sequence(tagged(0x18, Buffer.from('20000101000000Z')), tagged(0x18, Buffer.from('99991231235959Z'))),
      subject,
      publicKey.export({ type: 'spki', format: 'der' }),
      tagged(0xa3, sequence(...extensions)),
    );
    const signature = Buffer.concat([Buffer.from([0]), sign('sha256', body, this.#key)]);
    const text = sequence(body, ecdsaWithSha256, tagged(0x03, signature)).toString('base64');
    const lines = text.match(/.{1,64}/g) ?? [];
    return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
  }
}

function keyPair(): { privateKey: KeyObject; publicKey: KeyObject } {
  return generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
}

/** Tag, length, contents. */
function tagged(tag: number, contents: Buffer): Buffer {
  const { length } = contents;
  const form = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...form]), contents]);
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tagged(0x30, Buffer.concat(parts));
}

const ecdsaWithSha256 = sequence(tagged(0x06, Buffer.from('2a8648ce3d040302', 'hex')));

/** A distinguished name with a common name alone. */
function nameOf(commonName: string): Buffer {
  const attribute = sequence(tagged(0x06, Buffer.from('550403', 'hex')), tagged(0x0c, Buffer.from(commonName)));
  return sequence(tagged(0x31, attribute));
}

function extension(id: string, value: readonly Buffer[], isCritical: boolean): Buffer {
  const critical = isCritical ? [Buffer.from([0x01, 0x01, 0xff])] : [];
  return sequence(tagged(0x06, Buffer.from(id, 'hex')), ...critical, tagged(0x04, Buffer.concat(value)));
}
