import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { gatewayOpenApi, SLICE_ROUTES } from "../../local/generate/openapi.ts";
import type { Route } from "../../platform/http.ts";
import { newId } from "../../platform/ids.ts";
import { isSliceName, type SliceName } from "../../platform/slices.ts";
import { destinationOf } from "./domain.ts";

type Json = Record<string, unknown>;
interface Operation extends Json {
  readonly responses: Readonly<Record<string, Json>>;
  readonly parameters?: readonly { in: string; name: string; required?: boolean; schema?: Json }[];
  readonly security?: unknown;
  readonly tags?: readonly string[];
}
interface Document {
  readonly openapi: string;
  readonly info: Json;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: Readonly<Record<string, Readonly<Record<string, Json>>>>;
}

/** What the gateway serves: the file that is committed. */
const document = JSON.parse(
  readFileSync(new URL("./openapi.json", import.meta.url), "utf8"),
) as unknown as Document;
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
);

const PREFIXES: Readonly<Record<string, string>> = {
  orderId: "ord",
  returnId: "ret",
  pickListId: "pck",
  assignmentId: "asg",
  courierId: "cou",
};

/** A path as a client would call it, with an id of the right sort for each parameter. */
const sampleOf = (path: string) =>
  path.replace(/[:{](\w+)\}?/g, (_match, name: string) => {
    const prefix = PREFIXES[name];
    if (name === "center") return "seoul";
    return prefix ? newId(prefix, "seoul") : "one";
  });

/** True for a concrete path that the slice's route would answer. */
const answers = ({ path }: Route, concrete: string) =>
  new RegExp(`^${path.replace(/:\w+/g, "[^/]+")}$`).test(concrete);

const open = (Object.keys(SLICE_ROUTES) as SliceName[]).flatMap((slice) =>
  SLICE_ROUTES[slice]
    .filter(({ access }) => access !== "internal")
    .map((route) => ({ slice, route, name: `${slice} ${route.method} ${route.path}` })),
);

describe("the gateway's document", () => {
  it("is what the contracts say: run `npm run generate` and commit", () => {
    expect(document).toEqual(JSON.parse(JSON.stringify(gatewayOpenApi())));
  });

  it.each(open)("has $name at a path that the gateway sends there", ({ slice, route }) => {
    const found = operations.filter(({ path, method, operation }) => {
      if (method !== route.method || operation.tags?.[0] !== slice) return false;
      const destination = destinationOf(method, sampleOf(path), isSliceName);
      if (destination.kind === "place") return slice === "orders" && route.path === "/v1/orders";
      return destination.kind === "cell" && destination.slice === slice && answers(route, destination.path);
    });
    expect(found.map(({ operation }) => operation.summary)).toContain(route.summary);
    const operation = found.find(({ operation: { summary } }) => summary === route.summary)?.operation;
    expect(operation?.security).toEqual(route.access === "public" ? undefined : [{ user: [] }]);
    expect(operation?.requestBody !== undefined).toBe(route.body !== undefined);
    for (const status of Object.keys(route.responses)) expect(operation?.responses).toHaveProperty(status);
  });

  it("has nothing else but what the gateway answers itself", () => {
    const own = operations
      .filter(({ operation }) => operation.tags?.[0] === "gateway")
      .map(({ path }) => path);
    expect(own).toEqual(expect.arrayContaining(["/livez", "/readyz", "/metrics", "/openapi.json"]));
    expect(operations).toHaveLength(open.length + own.length);
    expect(operations.filter(({ path }) => path.includes("/internal"))).toEqual([]);
  });

  it("asks for a key where an order is placed", () => {
    expect(document.paths["/v1/orders"]?.post?.parameters).toContainEqual(
      expect.objectContaining({ in: "header", name: "Idempotency-Key", required: true }),
    );
  });
});

describe("its shape is that of OpenAPI 3.1", () => {
  it("at the top", () => {
    expect(document.openapi).toMatch(/^3\.1\.\d+$/);
    expect(document.info).toMatchObject({ title: "gateway", version: expect.stringMatching(/./) });
    expect(document.components.securitySchemes).toEqual({
      user: { type: "http", scheme: "bearer", bearerFormat: "JWT" },
    });
    expect(Object.keys(document.components.schemas ?? {})).toContain("Problem");
  });

  it.each(operations)("in $method $path", ({ path, method, operation }) => {
    expect(path).toMatch(/^\//);
    expect(["GET", "POST", "PUT", "DELETE"]).toContain(method);
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
    const declared = (operation.parameters ?? []).filter((parameter) => parameter.in === "path");
    expect(declared.map(({ name }) => name).sort()).toEqual(inPath.sort());
    for (const { required, schema } of declared) {
      expect(required).toBe(true);
      expect(schema).toBeDefined();
    }
    expect(Object.keys(operation.responses).length).toBeGreaterThan(0);
    for (const [status, response] of Object.entries(operation.responses)) {
      expect(status).toMatch(/^([1-5]\d\d|default)$/);
      expect(response.description).toEqual(expect.stringMatching(/./));
    }
  });

  it("with references that lead somewhere", () => {
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(
      ([, ref = ""]) => ref,
    );
    expect(references.length).toBeGreaterThan(0);
    for (const reference of new Set(references)) {
      const keys = reference.replace(/^#\//, "").split("/");
      let there: unknown = document;
      for (const key of keys) there = (there as Json | undefined)?.[key];
      expect({ reference, there: typeof there }).toEqual({ reference, there: "object" });
    }
  });
});
