import * as z from "zod";
import type { KubeObject, ObjectMeta } from "../../platform/kube/objects.ts";
import { SLICE_NAMES } from "../../platform/slices.ts";
import { rules } from "./fields.ts";

/**
 * Written whole by one writer. A keyed list would turn into null when server-side apply takes its last entry away, and
 * the table of a region whose last center leaves would be refused.
 */
const WHOLE = { "x-kubernetes-list-type": "atomic" };

const addressSchema = z.object({
  host: z.string().max(253).describe("Name of the Service"),
  ip: z.string().max(45).meta({ description: "The Service's cluster address, so that routing needs no DNS" }),
  port: z.int().min(1).max(65_535).describe("TCP port of the Service"),
});

const routedCellSchema = z.object({
  name: z.string().min(1).max(40).describe("Name of the center"),
  mode: z.enum(["Active", "Draining", "Fenced"]).describe("Mode of the center"),
  weight: z.int().min(0).max(100).meta({ description: "0 takes no new orders" }),
  epoch: z.int().min(0).describe("Number that every write of the cell carries; never goes back"),
  location: z
    .object({
      latitude: z.string().max(12).describe("Degrees (WGS 84) as a decimal string"),
      longitude: z.string().max(12).describe("Degrees (WGS 84) as a decimal string"),
    })
    .describe("Where the center stands"),
  coverage: z
    .object({
      radiusMeters: z.int().describe("How far around the center it delivers"),
      serviceLevelMinutes: z.int().describe("Promised time from order to delivery"),
    })
    .describe("Whom the center serves"),
  services: z
    .partialRecord(z.enum(SLICE_NAMES), addressSchema)
    .meta({ description: "Where each service of the cell answers", maxProperties: SLICE_NAMES.length }),
  publicKey: z
    .string()
    .max(1024)
    .meta({ description: "Public ES256 JWK, or a key set while it is changed, as JSON text" }),
});

const tombstoneSchema = z.object({
  name: z.string().min(1).max(40).describe("Name that a center had"),
  epoch: z.int().min(0).describe("Last number that its cell carried"),
});

/** What the operator intends for every cell of a region; never their health, which each gateway judges itself. */
export const routingTableSpecSchema = z
  .object({
    version: z.int().min(0).describe("Grows with every change of the table"),
    cells: z
      .array(routedCellSchema)
      .max(1000)
      .meta({ description: "Cells that may be routed to", ...WHOLE }),
    tombstones: z
      .array(tombstoneSchema)
      .max(5000)
      .default([])
      .meta({ description: "Last epoch of each name that left", ...WHOLE }),
  })
  .meta({
    description: "The whole table, written by the operator on change only",
    ...rules({ rule: "self.version >= oldSelf.version", message: "version only grows" }),
  });

export const routingTableSchema = z
  .object({ spec: routingTableSpecSchema })
  .meta({ description: "All cells of one region; the name is the region's. Written by the operator alone" });

export type RoutedCell = z.output<typeof routedCellSchema>;
export type Tombstone = z.output<typeof tombstoneSchema>;
export type RoutingTableSpec = z.output<typeof routingTableSpecSchema>;

export interface RoutingTable extends KubeObject {
  kind: "RoutingTable";
  metadata: ObjectMeta;
  spec: RoutingTableSpec;
}
