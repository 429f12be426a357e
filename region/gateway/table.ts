import { mkdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { errorText } from "../../platform/log.ts";
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

/** What the disk has to say at the start. A file that is there and cannot be used is told apart from none. */
export type SavedTable =
  | { readonly kind: "none" }
  | { readonly kind: "damaged"; readonly file: string; readonly detail: string }
  | { readonly kind: "table"; readonly table: Table; readonly savedAtMs: number };

/** Reads the last table that was in use. */
export async function readSavedTable(stateDir: string): Promise<SavedTable> {
  const file = join(stateDir, FILE);
  try {
    const [text, { mtimeMs }] = await Promise.all([readFile(file, "utf8"), stat(file)]);
    const verdict = acceptTable(undefined, JSON.parse(text));
    if (!verdict.ok) return { kind: "damaged", file, detail: verdict.detail };
    return { kind: "table", table: verdict.table, savedAtMs: mtimeMs };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return { kind: "none" };
    return { kind: "damaged", file, detail: errorText(error) };
  }
}

/**
 * Keeps the table for the next start; written beside, brought to the disk and renamed, so that a crash leaves the old or the new one.
 * One call at a time: both would write the same file beside.
 */
export async function saveTable(stateDir: string, table: Table): Promise<void> {
  await mkdir(stateDir, { recursive: true });
  const beside = join(stateDir, `${FILE}.new`);
  await writeFile(beside, JSON.stringify(table), { flush: true });
  await rename(beside, join(stateDir, FILE));
}
