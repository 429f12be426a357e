import * as z from "zod";
import { apiVersionOf, type KubeObject, type ResourceRef } from "../../platform/kube/objects.ts";
import { fulfillmentCenterSchema } from "./fulfillment-center.ts";
import { FULFILLMENT_CENTER, ROUTING_TABLE } from "./names.ts";
import { routingTableSchema } from "./routing-table.ts";

type JsonSchema = Record<string, unknown>;

interface PrinterColumn {
  readonly name: string;
  readonly type: "string" | "integer" | "date";
  readonly jsonPath: string;
  readonly description?: string;
  readonly priority?: number;
}

interface CrdOptions {
  readonly ref: ResourceRef;
  readonly schema: z.ZodType;
  readonly shortNames: readonly string[];
  readonly hasStatus: boolean;
  readonly columns: readonly PrinterColumn[];
}

/** The CustomResourceDefinitions of this project, in the order in which to apply them. */
export function buildCrds(): KubeObject[] {
  const condition = (type: string) => `.status.conditions[?(@.type=="${type}")].status`;
  return [
    buildCrd({
      ref: FULFILLMENT_CENTER,
      schema: fulfillmentCenterSchema,
      shortNames: ["fc", "fcs"],
      hasStatus: true,
      columns: [
        { name: "Ready", type: "string", jsonPath: condition("Ready") },
        { name: "Available", type: "string", jsonPath: condition("Available") },
        { name: "Phase", type: "string", jsonPath: ".status.phase" },
        { name: "Region", type: "string", jsonPath: ".spec.region" },
        { name: "Release", type: "string", jsonPath: ".status.release.current" },
        { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
        { name: "Mode", type: "string", jsonPath: ".spec.mode", priority: 1 },
        { name: "Namespace", type: "string", jsonPath: ".status.namespace", priority: 1 },
        { name: "Epoch", type: "integer", jsonPath: ".status.epoch", priority: 1 },
        {
          name: "Message",
          type: "string",
          jsonPath: '.status.conditions[?(@.type=="Ready")].message',
          priority: 1,
        },
      ],
    }),
    buildCrd({
      ref: ROUTING_TABLE,
      schema: routingTableSchema,
      shortNames: ["rt"],
      hasStatus: false,
      columns: [
        { name: "Version", type: "integer", jsonPath: ".spec.version" },
        { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
      ],
    }),
  ];
}

function buildCrd(options: CrdOptions): KubeObject {
  const { ref } = options;
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${ref.plural}.${ref.group}` },
    spec: {
      group: ref.group,
      names: {
        kind: ref.kind,
        listKind: `${ref.kind}List`,
        plural: ref.plural,
        singular: ref.kind.toLowerCase(),
        shortNames: options.shortNames,
        categories: ["cells"],
      },
      scope: ref.namespaced ? "Namespaced" : "Cluster",
      versions: [
        {
          name: ref.version,
          served: true,
          storage: true,
          ...(options.hasStatus ? { subresources: { status: {} } } : {}),
          additionalPrinterColumns: options.columns,
          schema: { openAPIV3Schema: rootSchema(options.schema, ref) },
        },
      ],
    },
  };
}

function rootSchema(schema: z.ZodType, ref: ResourceRef): JsonSchema {
  const root = toStructural(z.toJSONSchema(schema, { target: "openapi-3.0", io: "input" }) as JsonSchema);
  const properties = root.properties as JsonSchema;
  return {
    ...root,
    properties: {
      apiVersion: { type: "string", description: `always ${apiVersionOf(ref)}` },
      kind: { type: "string", description: `always ${ref.kind}` },
      metadata: { type: "object" },
      ...properties,
    },
  };
}

/**
 * Turns zod's JSON schema into a structural schema: drops what the API server refuses (closed objects, property
 * name patterns) and the bounds that only say "a number that JavaScript can hold".
 */
export function toStructural(schema: JsonSchema): JsonSchema {
  const result: JsonSchema = {};
  for (const [key, value] of Object.entries(schema)) {
    if (key === "$schema" || key === "propertyNames") continue;
    if (key === "additionalProperties" && (value === false || "properties" in schema)) continue;
    if ((key === "minimum" || key === "maximum") && Math.abs(value as number) === Number.MAX_SAFE_INTEGER)
      continue;
    if (key === "properties") result[key] = mapValues(value as Record<string, JsonSchema>, toStructural);
    else if (key === "items" || key === "additionalProperties")
      result[key] = toStructural(value as JsonSchema);
    else result[key] = value;
  }
  if (result.type === "integer") result.format = "int64";
  return result;
}

function mapValues<A, B>(object: Record<string, A>, map: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value)]));
}
