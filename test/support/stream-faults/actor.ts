import { fileURLToPath } from 'node:url';
import { startProcess, type TestProcess } from '../sidecar-process.ts';
import type { TcpProxy } from './tcp-proxy.ts';

const wrongClock = fileURLToPath(new URL('wrong-clock.ts', import.meta.url));

export type ActorOptions = {
  readonly name: string;
  readonly program: 'controlPlane' | 'sidecar';
  readonly environment: Record<string, string>;
  /** By what is at the other end. */
  readonly networks: Readonly<Record<string, TcpProxy>>;
  /** How wrong its clock is. */
  readonly skewMs: number;
};

/** A program that can be killed, frozen and started again at the same address, and whose networks can be broken. */
export class Actor implements AsyncDisposable {
  readonly #options: ActorOptions;
  #process: TestProcess | undefined;

  constructor(options: ActorOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.name;
  }

  get networks(): readonly TcpProxy[] {
    return Object.values(this.#options.networks);
  }

  /** Of the process that runs now, or ran last. */
  get address(): string {
    return this.#process?.addresses[0] ?? '127.0.0.1:0';
  }

  async start(): Promise<void> {
    const { program, environment, skewMs } = this.#options;
    const variable = program === 'sidecar' ? 'TM_SIDECAR_ADDRESS' : 'TM_CONTROL_PLANE_ADDRESS';
    const clock = { NODE_OPTIONS: `--import=${wrongClock}`, TM_TEST_CLOCK_SKEW_MS: String(skewMs) };
    this.#process = await startProcess(program, {
      ...environment,
      ...(skewMs === 0 ? {} : clock),
      [variable]: this.address,
    });
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    await this.#process?.[Symbol.asyncDispose]();
  }

  /** SIGSTOP. */
  freeze(): void {
    this.#process?.child.kill('SIGSTOP');
  }

  /** SIGCONT. */
  thaw(): void {
    this.#process?.child.kill('SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}
