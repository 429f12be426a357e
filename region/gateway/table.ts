import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { SLICE_NAMES } from "../../platform/slices.ts";
import type { Table } from "./domain.ts";

const coordinate = z.coerce.number();
const addressSchema = z.object({
  host: z.string().min(1),
  ip: z.string().optional(),
  port: z.number().int().min(1).max(65_535),
});

/** As much of the RoutingTable's spec as the gateway uses; unknown fields are left alone, so that a newer operator does not stop an older gateway. */
const tableSchema = z.object({
  version: z.number().int().nonnegative(),
  cells: z
    .array(
      z.object({
        name: z.string().min(1).max(40),
        mode: z.enum(["Active", "Draining", "Fenced"]),
        weight: z.number().int().min(0).max(100),
        epoch: z.number().int().nonnegative(),
        location: z.object({ latitude: coordinate, longitude: coordinate }),
        coverage: z.object({
          radiusMeters: z.number().positive(),
          serviceLevelMinutes: z.number().positive(),
        }),
        services: z.partialRecord(z.enum(SLICE_NAMES), addressSchema),
        publicKey: z.string().min(1),
      }),
    )
    .max(5_000),
});

export type TableVerdict =
  | { readonly ok: true; readonly table: Table }
  | {
      readonly ok: false;
      readonly reason: "malformed" | "older" | "duplicate-cell" | "epoch-backwards";
      readonly detail: string;
    };

/**
 * Whether a table that came in may replace the one in use. A table never goes back: not its version,
 * and not the epoch of any cell in it.
 */
export function acceptTable(current: Table | undefined, spec: unknown): TableVerdict {
  const parsed = tableSchema.safeParse(spec);
  if (!parsed.success) return { ok: false, reason: "malformed", detail: z.prettifyError(parsed.error) };
  const table = parsed.data;
  if (current && table.version < current.version)
    return { ok: false, reason: "older", detail: `version ${table.version} after ${current.version}` };
  const epochs = new Map(current?.cells.map(({ name, epoch }) => [name, epoch]));
  const names = new Set<string>();
  for (const { name, epoch } of table.cells) {
    if (names.has(name)) return { ok: false, reason: "duplicate-cell", detail: `${name} is listed twice` };
    names.add(name);
    const before = epochs.get(name) ?? 0;
    if (epoch < before)
      return { ok: false, reason: "epoch-backwards", detail: `${name}: epoch ${epoch} after ${before}` };
  }
  return { ok: true, table };
}

const FILE = "routing-table.json";

/** Reads the last table that was in use; undefined when there is none or it cannot be read. */
export async function readSavedTable(stateDir: string): Promise<Table | undefined> {
  const text = await readFile(join(stateDir, FILE), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    const verdict = acceptTable(undefined, JSON.parse(text));
    return verdict.ok ? verdict.table : undefined;
  } catch {
    // A file cut short by a crash is the same as none: the rename below makes it all but impossible.
    return undefined;
  }
}

/** Keeps the table for the next start; written beside and renamed, so that a crash leaves the old or the new one. */
export async function saveTable(stateDir: string, table: Table): Promise<void> {
  await mkdir(stateDir, { recursive: true });
  const beside = join(stateDir, `${FILE}.${process.pid}.new`);
  await writeFile(beside, JSON.stringify(table));
  await rename(beside, join(stateDir, FILE));
}
