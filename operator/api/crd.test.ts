import { describe, expect, it } from "vitest";
import type { KubeObject } from "../../platform/kube/objects.ts";
import { buildCrds } from "./crd.ts";

interface Schema {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
}
interface Version {
  readonly schema: { readonly openAPIV3Schema: Schema };
  readonly additionalPrinterColumns: readonly { readonly name: string; readonly jsonPath: string }[];
}
const versionsOf = (crd: KubeObject) => (crd.spec as { versions: Version[] }).versions;

/** Every field below a schema, with its path. */
function fieldsOf(schema: Schema, path = ""): (readonly [string, Schema])[] {
  const below = Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const own = `${path}.${name}`;
    return [[own, field] as const, ...fieldsOf(field, own)];
  });
  const items = schema.items === undefined ? [] : fieldsOf(schema.items, `${path}[]`);
  const values =
    typeof schema.additionalProperties === "object" ? fieldsOf(schema.additionalProperties, `${path}{}`) : [];
  return [...below, ...items, ...values];
}

describe.each(buildCrds().map((crd) => [crd.metadata.name, crd] as const))("%s", (_name, crd) => {
  const fields = versionsOf(crd).flatMap(({ schema }) => fieldsOf(schema.openAPIV3Schema));

  it("explains every field: kubectl explain has a word on each", () => {
    // The API server explains metadata itself.
    const silent = fields.filter(
      ([path, { description = "" }]) => path !== ".metadata" && description.length < 8,
    );
    expect(silent.map(([path]) => path)).toEqual([]);
  });

  it("prints columns of fields that exist", () => {
    const paths = new Set(fields.map(([path]) => path));
    const read = versionsOf(crd).flatMap(({ additionalPrinterColumns }) =>
      additionalPrinterColumns.map(({ jsonPath }) => jsonPath.replace(/\[\?.*\]/, "[]")),
    );
    expect(read.filter((path) => !path.startsWith(".metadata.") && !paths.has(path))).toEqual([]);
  });
});
