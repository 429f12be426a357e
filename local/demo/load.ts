import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Coordinates } from "../../platform/geo.ts";
import { type Answer, type Api, type Person, pause } from "./api.ts";

/** One center as its example file has it. */
export interface Center {
  readonly name: string;
  readonly latitude: number;
  readonly longitude: number;
  readonly radiusMeters: number;
  readonly topology: string;
}

interface Stock {
  readonly skus: readonly { readonly sku: string }[];
  readonly receipts: readonly { readonly receiptId: string; readonly lines: readonly unknown[] }[];
  readonly prices: readonly unknown[];
}

const METERS_PER_DEGREE = 111_195;
const LOAD_DEADLINE_MS = 30_000;

/** Loads articles, stock and prices of one center. A run receives goods of its own: an earlier one has sold some of its. */
export async function loadStock(api: Api, root: string, center: Center): Promise<string[]> {
  const stock = JSON.parse(
    await readFile(join(root, "examples", `stock-${center.name}.json`), "utf8"),
  ) as Stock;
  const staff = await api.as("stock-manager", "staff");
  const at = (slice: string, rest: string) => `/v1/centers/${center.name}/${slice}/${rest}`;
  await must(staff, at("inventory", "skus"), { skus: stock.skus });
  const run = randomUUID();
  for (const receipt of stock.receipts)
    await must(staff, at("inventory", "receipts"), { ...receipt, receiptId: `${receipt.receiptId}-${run}` });
  await must(staff, at("orders", "prices"), { prices: stock.prices });
  return stock.skus.map(({ sku }) => sku);
}

/** Right after a rollout a Service may refuse for a moment: what loads the stock waits for an answer, not for a state. */
async function must(person: Person, path: string, body: unknown): Promise<void> {
  const untilMs = Date.now() + LOAD_DEADLINE_MS;
  for (;;) {
    const answer = await person.post(path, body);
    if (answer.status >= 200 && answer.status < 300) return;
    if (answer.status !== 0 && answer.status < 500)
      throw new Error(`${path}: ${answer.status} ${answer.body?.detail}`);
    if (Date.now() > untilMs) throw new Error(`${path}: ${answer.status} ${answer.body?.detail}`);
    await pause(500);
  }
}

/** A point so many metres from another, at an angle in degrees from east. */
export function pointAt(from: Coordinates, meters: number, degrees: number): Coordinates {
  const angle = (degrees * Math.PI) / 180;
  const latitude = from.latitude + (meters * Math.sin(angle)) / METERS_PER_DEGREE;
  const shrink = Math.cos((from.latitude * Math.PI) / 180);
  return { latitude, longitude: from.longitude + (meters * Math.cos(angle)) / (METERS_PER_DEGREE * shrink) };
}

export function between(a: Coordinates, b: Coordinates): Coordinates {
  return { latitude: (a.latitude + b.latitude) / 2, longitude: (a.longitude + b.longitude) / 2 };
}

export interface OrderWish {
  readonly deliverTo: Coordinates;
  readonly skus: readonly string[];
  readonly method?: string;
}

/** The body of an order: one unit of each article. */
export function orderOf(wish: OrderWish): unknown {
  return {
    deliverTo: wish.deliverTo,
    contact: { name: "A customer", phone: "010-0000-0000", address: "Third floor, the door on the left" },
    lines: wish.skus.map((sku) => ({ sku, quantity: 1 })),
    payment: { method: wish.method ?? "tok_visa" },
  };
}

/** Waits until an order of the list is in one of these states, and answers what is left of them at the deadline. */
export async function waitForOrders(
  person: Person,
  ids: readonly string[],
  states: readonly string[],
  timeoutMs: number,
  note: (text: string) => void,
): Promise<string[]> {
  const untilMs = Date.now() + timeoutMs;
  const left = new Set(ids);
  while (left.size > 0 && Date.now() < untilMs) {
    for (const id of left) {
      const answer: Answer = await person.get(`/v1/orders/${id}`);
      if (answer.status === 200 && states.includes(answer.body.state)) left.delete(id);
    }
    note(`${ids.length - left.size} of ${ids.length}`);
    if (left.size > 0) await pause(300);
  }
  return [...left];
}
