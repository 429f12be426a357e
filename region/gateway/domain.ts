import type { Coordinates } from "../../platform/geo.ts";
import { distanceMeters } from "../../platform/geo.ts";
import { parseId } from "../../platform/ids.ts";
import type { SliceName } from "../../platform/slices.ts";

/** What the operator intends for one cell: never its health, which each gateway judges for itself. */
export interface TableCell {
  readonly name: string;
  readonly mode: "Active" | "Draining" | "Fenced";
  /** 0..100; 0 takes no new orders. */
  readonly weight: number;
  readonly epoch: number;
  readonly location: Coordinates;
  readonly coverage: { readonly radiusMeters: number; readonly serviceLevelMinutes: number };
  readonly services: Readonly<Partial<Record<SliceName, CellAddress>>>;
  /** Public ES256 JWK as JSON text; checks the signature under a refusal. */
  readonly publicKey: string;
}

/** Both name and address, so that routing goes on without cluster DNS. */
export interface CellAddress {
  readonly host: string;
  readonly ip?: string | undefined;
  readonly port: number;
}

export interface Table {
  readonly version: number;
  readonly cells: readonly TableCell[];
}

/** What this gateway has seen of a cell lately; `skus` undefined means that nothing is known. */
export interface CellView {
  readonly removed: boolean;
  readonly accepting: boolean;
  readonly queueMinutes: number;
  readonly skus?: ReadonlySet<string> | undefined;
}

export interface PlacementRequest {
  readonly deliverTo: Coordinates;
  readonly skus: readonly string[];
}

export interface PassedOver {
  readonly cell: string;
  readonly reason: "draining" | "fenced" | "weight-zero" | "unreachable" | "not-accepting";
}

/** Candidates come best first. A refusal names why each covering cell was passed over. */
export type RouteDecision =
  | { readonly ok: true; readonly candidates: readonly string[]; readonly passedOver: readonly PassedOver[] }
  | {
      readonly ok: false;
      readonly code: "no-center" | "cell-unavailable" | "not-accepting";
      readonly passedOver: readonly PassedOver[];
    };

const UNKNOWN_VIEW: CellView = { removed: false, accepting: true, queueMinutes: 0 };
/** Riding speed used to turn distance into minutes: 18 km/h, a cautious city average for two-wheelers. */
const METERS_PER_MINUTE = 300;
/** A cell that lacks a SKU by a summary up to some seconds old goes behind every cell that has it, but is still asked: the hold decides. */
const STOCK_DOUBT_MINUTES = 10_000;

/**
 * Orders the cells that can serve an address: cost in minutes = riding time + queue, plus a large
 * penalty where stock is in doubt, divided by the weight's share. Pure: the same table, request and
 * views always give the same answer.
 */
export function route(
  table: Table,
  request: PlacementRequest,
  views: ReadonlyMap<string, CellView> = new Map(),
): RouteDecision {
  const covering = table.cells
    .map((cell) => ({ cell, distance: distanceMeters(cell.location, request.deliverTo) }))
    .filter(({ cell, distance }) => distance <= cell.coverage.radiusMeters);
  if (covering.length === 0) return { ok: false, code: "no-center", passedOver: [] };

  const passedOver: PassedOver[] = [];
  const scored: { name: string; cost: number }[] = [];
  for (const { cell, distance } of covering) {
    const view = views.get(cell.name) ?? UNKNOWN_VIEW;
    const reason = reasonToPassOver(cell, view);
    if (reason) passedOver.push({ cell: cell.name, reason });
    else scored.push({ name: cell.name, cost: costMinutes(cell, view, distance, request.skus) });
  }
  if (scored.length === 0) {
    const onlyIntake = passedOver.every(({ reason }) => reason === "draining" || reason === "not-accepting");
    return { ok: false, code: onlyIntake ? "not-accepting" : "cell-unavailable", passedOver };
  }
  scored.sort((a, b) => a.cost - b.cost || (a.name < b.name ? -1 : 1));
  return { ok: true, candidates: scored.map(({ name }) => name), passedOver };
}

function reasonToPassOver(cell: TableCell, view: CellView): PassedOver["reason"] | undefined {
  if (cell.mode === "Fenced") return "fenced";
  if (cell.mode === "Draining") return "draining";
  // A cell that the operator has down to 0 because it is not Available counts as unreachable for the customer too.
  if (cell.weight === 0) return "weight-zero";
  if (view.removed) return "unreachable";
  if (!view.accepting) return "not-accepting";
  return undefined;
}

function costMinutes(cell: TableCell, view: CellView, distance: number, skus: readonly string[]): number {
  const lacking = view.skus ? skus.some((sku) => !view.skus?.has(sku)) : false;
  const minutes = distance / METERS_PER_MINUTE + view.queueMinutes;
  return (minutes * 100) / cell.weight + (lacking ? STOCK_DOUBT_MINUTES : 0);
}

/** Where a path under `/v1` goes: to be placed, to one slice of one cell for a user or for the payment processor, or nowhere. */
export type Destination =
  | { readonly kind: "place" }
  | { readonly kind: "webhook"; readonly center: string; readonly slice: SliceName; readonly path: string }
  /** One user's orders, wherever they are. */
  | { readonly kind: "history" }
  | { readonly kind: "cell"; readonly center: string; readonly slice: SliceName; readonly path: string }
  | { readonly kind: "unknown" };

export type CellDestination = Extract<Destination, { kind: "cell" }>;
export type WebhookDestination = Extract<Destination, { kind: "webhook" }>;

const SLICE_OF_COLLECTION: Readonly<Record<string, readonly [slice: SliceName, prefix: string]>> = {
  orders: ["orders", "ord"],
  returns: ["orders", "ret"],
  "pick-lists": ["fulfillment", "pck"],
  assignments: ["dispatch", "asg"],
  couriers: ["couriers", "cou"],
  tracking: ["tracking", "ord"],
};

/**
 * Reads the destination out of method and path: ids carry their center, so no lookup is needed.
 * `/v1/centers/{center}/{slice}/rest` is the way to what has no id yet. Internal paths are never reachable.
 */
export function destinationOf(
  method: string,
  path: string,
  isSlice: (name: string) => name is SliceName,
): Destination {
  const [root, collection, id, ...rest] = path.slice(1).split("/");
  if (root !== "v1" || !collection) return { kind: "unknown" };
  if (collection === "orders" && id === undefined && method === "POST") return { kind: "place" };
  if (collection === "webhooks") return webhookOf(method, id, rest);
  if (collection === "orders" && id === undefined && method === "GET") return { kind: "history" };
  if (collection === "centers") {
    const [slice, ...tail] = rest;
    if (!id || !slice || !isSlice(slice) || tail.length === 0) return { kind: "unknown" };
    const isDocument = tail.length === 1 && tail[0] === "openapi.json";
    return { kind: "cell", center: id, slice, path: isDocument ? "/openapi.json" : `/v1/${tail.join("/")}` };
  }
  const known = Object.hasOwn(SLICE_OF_COLLECTION, collection) ? SLICE_OF_COLLECTION[collection] : undefined;
  const parsed = id === undefined ? undefined : parseId(id);
  if (!known || parsed?.prefix !== known[1]) return { kind: "unknown" };
  return { kind: "cell", center: parsed.center, slice: known[0], path };
}

/** `/v1/webhooks/payments/{center}`: the processor has no token; it proves itself to the cell by its signature. */
function webhookOf(method: string, slice: string | undefined, rest: readonly string[]): Destination {
  const [center] = rest;
  if (method !== "POST" || slice !== "payments" || !center || rest.length > 1) return { kind: "unknown" };
  return { kind: "webhook", center, slice, path: "/internal/webhooks/processor" };
}

/** The way back: where at the gateway a slice's route is found, with the same `:parameters`. */
export function slicePathOf(slice: SliceName, method: string, path: string): string {
  const [, , collection = "", id] = path.split("/");
  const known = Object.hasOwn(SLICE_OF_COLLECTION, collection) ? SLICE_OF_COLLECTION[collection] : undefined;
  const isPlacing = slice === "orders" && method === "POST" && path === "/v1/orders";
  if (isPlacing || (known?.[0] === slice && id?.startsWith(":"))) return path;
  return path.replace(/^\/v1/, `/v1/centers/:center/${slice}`);
}

/** What one cell has of a user's orders, newest first. `nextCursor` when it has more. */
export interface CellPage {
  readonly center: string;
  readonly orders: readonly { readonly id: string }[];
  readonly nextCursor?: string | undefined;
}

/** Ids end in a UUIDv7, which sorts by time whatever the center. */
function timeOf(id: string): string {
  return id.slice(id.lastIndexOf("_") + 1);
}

/** The cursor of the region as one cell takes it. */
export function cellCursorOf(center: string, cursor: string): string {
  return `ord_${center}_${cursor}`;
}

/**
 * One page out of those of the cells, newest first. With `nextCursor` as every cell's cursor the next page begins where this one ends:
 * what was left over here is asked for again there.
 */
export function mergePages(
  pages: readonly CellPage[],
  limit: number,
): { orders: CellPage["orders"]; nextCursor?: string } {
  const all = pages.flatMap(({ orders }) => orders).sort((a, b) => (timeOf(a.id) < timeOf(b.id) ? 1 : -1));
  const orders = all.slice(0, limit);
  const last = orders.at(-1);
  const hasMore = all.length > limit || pages.some(({ nextCursor }) => nextCursor !== undefined);
  return last && hasMore ? { orders, nextCursor: timeOf(last.id) } : { orders };
}
