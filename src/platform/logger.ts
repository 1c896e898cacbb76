import { pino, type Logger as PinoLogger, stdSerializers } from 'pino';

/** Structured JSON lines on stdout. */
export type Logger = PinoLogger;

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** `component` stands in every line: `control-plane` or `sidecar`. */
export function createLogger(component: string, level: LogLevel): Logger {
  return pino({
    level,
    base: { component, pid: process.pid },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label) => ({ level: label }) },
    serializers: { error: stdSerializers.errWithCause },
  });
}
