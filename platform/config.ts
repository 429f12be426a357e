import { z } from "zod";

/** A setting is missing or wrong; the message is one line for each. Printed without a stack. */
export class ConfigError extends Error {}

/** Reads settings out of the environment; throws ConfigError that names each bad variable. */
export function loadConfig<S extends z.ZodType>(
  schema: S,
  env: Readonly<Record<string, string | undefined>>,
): z.output<S> {
  // An empty variable is what shells and manifests leave behind for "not set".
  const present = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value !== ""),
  );
  const parsed = schema.safeParse(present);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map(
    ({ path, message }) => `${path.join(".") || "environment"}: ${message}`,
  );
  throw new ConfigError(`The settings are not valid. ${lines.join("; ")}`);
}

/** An integer written as text, within bounds. */
export function intSetting(min: number, max: number) {
  return z.coerce.number().int().min(min).max(max);
}
