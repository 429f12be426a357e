import { parseArgs } from "node:util";
import { skuSchema } from "../../platform/schemas.ts";
import type { Finding, ReconcileDeps, Reconciliation } from "./reconciler.ts";
import { reconcileAll } from "./reconciler.ts";

const USAGE = `usage: node cell/main.ts inventory reconcile [--repair] [--skus A,B] [--json]

Compares balances with their movements and with open allocations, and the hold store with both, and prints what differs.
  --repair    bring balances and the hold store back to what the movements say, and write down that it was done
  --skus A,B  only these
  --json      for a machine
It ends with 0 when nothing differs or all of it was repaired, with 1 when something still differs, with 2 when it could not look.
`;

/** True for arguments after `node cell/main.ts` that are this verb and not the name of a slice to run. */
export function isReconcile(args: readonly string[]): boolean {
  return args[0] === "inventory" && args[1] === "reconcile";
}

/** Runs the verb; `open` is called once the arguments are known to be good. Returns the exit code. */
export async function reconcileCommand(
  args: readonly string[],
  open: () => Promise<ReconcileDeps & { close(): Promise<void> }>,
  print: (text: string) => void,
): Promise<number> {
  const asked = read(args);
  if (typeof asked === "string") {
    print(asked);
    return asked === USAGE ? 0 : 2;
  }
  let deps: Awaited<ReturnType<typeof open>> | undefined;
  try {
    deps = await open();
    const unknown = await unknownOf(deps, asked.only ?? []);
    if (unknown.length > 0) {
      print(`This center knows no SKU ${unknown.slice(0, 5).join(", ")}.\n`);
      return 2;
    }
    const result = await reconcileAll(deps, asked);
    print(asked.json ? `${JSON.stringify(result, undefined, 2)}\n` : toText(result, asked.repair));
    return result.findings.every((finding) => finding.repaired) ? 0 : 1;
  } catch (error) {
    print(`The books could not be compared: ${error instanceof Error ? error.message : String(error)}\n`);
    return 2;
  } finally {
    await deps?.close();
  }
}

async function unknownOf({ sql }: ReconcileDeps, skus: readonly string[]): Promise<string[]> {
  const rows = await sql.query<{ sku: string }>("SELECT sku FROM inventory.sku WHERE sku = ANY($1::TEXT[])", [
    skus,
  ]);
  const known = new Set(rows.map((row) => row.sku));
  return skus.filter((sku) => !known.has(sku));
}

function read(
  args: readonly string[],
): { repair: boolean; json: boolean; only: string[] | undefined } | string {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        repair: { type: "boolean", default: false },
        skus: { type: "string" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) return USAGE;
    const only = values.skus === undefined ? undefined : [...new Set(values.skus.split(","))];
    const bad = only?.find((sku) => !skuSchema.safeParse(sku).success);
    if (bad !== undefined) return `"${bad}" is no SKU: name them as --skus milk-1l,rice-5kg.\n\n${USAGE}`;
    return { repair: values.repair, json: values.json, only };
  } catch (error) {
    return `${(error as Error).message}\n\n${USAGE}`;
  }
}

const HEAD = ["SKU", "BIN", "FACT", "IS", "SHOULD BE", "DIFFERENCE", "REPAIRED"];

/** A table of what differs, and a sentence that says what to do next. */
export function toText({ skus, findings, holdsCompared }: Reconciliation, repair: boolean): string {
  const holds = holdsCompared
    ? ""
    : "The holds were not summed up: the hold store is away, or has very many.\n";
  if (findings.length === 0) return `${skus} SKUs compared: no difference.\n${holds}`;
  const rows = [HEAD, ...findings.map(cellsOf)];
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const table = rows.map((row) =>
    row
      .map((text, column) => text.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  const left = findings.filter((finding) => !finding.repaired).length;
  const next = !repair
    ? "Repair them with --repair."
    : left === 0
      ? "All of them were repaired."
      : `${left} could not be repaired: run it again; what stays needs a count of the bin.`;
  return `${table.join("\n")}\n\n${skus} SKUs compared, ${findings.length} differences. ${next}\n${holds}`;
}

function cellsOf({ sku, bin, fact, is, shouldBe, repaired }: Finding): string[] {
  const difference = shouldBe - is;
  return [
    ...[
      sku,
      bin ?? "-",
      fact,
      String(is),
      String(shouldBe),
      difference > 0 ? `+${difference}` : `${difference}`,
    ],
    repaired ? "yes" : "no",
  ];
}
