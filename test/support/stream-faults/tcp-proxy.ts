import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** What a proxy does to what passes through it. */
export type Weather =
  | { readonly kind: 'fair' }
  /** Every connection is broken, and new ones are refused. */
  | { readonly kind: 'cut' }
  /** Nothing passes, and nobody is told: connections stay open, new ones are taken and lead nowhere. */
  | { readonly kind: 'half_open' }
  /** Everything takes so much longer, ms. */
  | { readonly kind: 'delayed'; readonly delayMs: number };

type Pair = { readonly near: Socket; readonly far: Socket };

/** A network between two programs on this machine, to be broken. Its own address stays the same. */
export class TcpProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #pairs = new Set<Pair>();
  #weather: Weather = { kind: 'fair' };
  #cleared: (() => void)[] = [];

  private constructor(server: Server, target: { readonly host: string; readonly port: number }) {
    this.#server = server;
    this.#target = target;
    server.on('connection', (near) => this.#accept(near));
  }

  /** To whoever listens, or comes to listen, there. */
  static async start(target: { readonly host: string; readonly port: number }): Promise<TcpProxy> {
    // Paused, because what a client says first must wait for the other half.
    const server = createServer({ pauseOnConnect: true, noDelay: true });
    const proxy = new TcpProxy(server, target);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** A URL that leads where the given one leads, through this. */
  through(url: string): string {
    const changed = new URL(url);
    changed.hostname = '127.0.0.1';
    changed.port = String(this.port);
    return changed.href.replace(/\/$/, '');
  }

  set(weather: Weather): void {
    this.#weather = weather;
    if (weather.kind === 'cut') this.#breakAll();
    if (weather.kind !== 'half_open') for (const resume of this.#cleared.splice(0)) resume();
  }

  /** Every connection is forgotten by the network: those who have one are not told. New ones are as good as any. */
  abandonAll(): void {
    for (const pair of this.#pairs) {
      pair.near.removeAllListeners('data').pause();
      pair.far.removeAllListeners('data').destroy();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.set({ kind: 'cut' });
    this.#server.close();
    await once(this.#server, 'close');
  }

  #breakAll(): void {
    for (const { near, far } of this.#pairs) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
    this.#pairs.clear();
  }

  #accept(near: Socket): void {
    if (this.#weather.kind === 'cut') return void near.resetAndDestroy();
    const far = connect({ ...this.#target, noDelay: true });
    const pair = { near, far };
    this.#pairs.add(pair);
    this.#pass(near, far);
    this.#pass(far, near);
    const end = (): void => {
      this.#pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    // Broken connections are what this is for.
    near.on('error', end).on('close', end);
    far.on('error', end).on('close', () => {
      if (this.#weather.kind !== 'half_open' && this.#pairs.has(pair) && far.listenerCount('data') > 0) end();
    });
  }

  #pass(from: Socket, to: Socket): void {
    let last = Promise.resolve();
    from.on('data', (bytes: Buffer) => {
      const arrivesAtMs = performance.now() + (this.#weather.kind === 'delayed' ? this.#weather.delayMs : 0);
      last = last.then(async () => {
        const waitMs = arrivesAtMs - performance.now();
        if (waitMs > 0) await delay(waitMs);
        while (this.#weather.kind === 'half_open') await new Promise<void>((resolve) => this.#cleared.push(resolve));
        if (!to.destroyed) to.write(bytes);
      });
    });
    from.resume();
  }
}
