import { type DestinationStream, pino } from "pino";
import { currentTraceId } from "./tracing.ts";

export type LogFields = Readonly<Record<string, unknown>>;

/** A constant message with fields. Nothing personal or secret belongs in a field. */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  child(fields: LogFields): Logger;
}

export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

export interface LoggerOptions {
  readonly service: string;
  readonly cell?: string | undefined;
  readonly level?: LogLevel | undefined;
  readonly destination?: DestinationStream | undefined;
}

/** JSON lines on standard output, each with service, cell and, inside a request, the trace id. */
export function createLogger(options: LoggerOptions): Logger {
  const { service, cell, level = "info", destination } = options;
  const settings = {
    level,
    base: { service, ...(cell === undefined ? {} : { cell }) },
    messageKey: "message",
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
    mixin: () => {
      const traceId = currentTraceId();
      return traceId === undefined ? {} : { traceId };
    },
    redact: {
      paths: ["password", "authorization", "token", "contact", "*.password", "*.authorization"],
      remove: true,
    },
  };
  return destination ? pino(settings, destination) : pino(settings);
}

/** A logger that says nothing. */
export function silentLogger(): Logger {
  return createLogger({ service: "silent", level: "silent" });
}

/** The text of anything that was thrown, for a log field. */
export function errorText(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
