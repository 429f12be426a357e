import { zipf } from "../bench/load/random.ts";
import { newUuid } from "../platform/ids.ts";
import type { StockRead } from "./check/allocations.ts";
import type { Placed } from "./check/orders.ts";
import type { Client, Reply } from "./client.ts";
import { monotonicMs, pause } from "./time.ts";

/** What the center has to sell: many of most articles, and few of some, so that customers meet there. */
export interface Assortment {
  readonly plenty: readonly string[];
  readonly scarce: readonly string[];
  readonly units: ReadonlyMap<string, number>;
}

/** What the customers have done so far. */
export interface Tally {
  readonly placed: Placed[];
  readonly reads: StockRead[];
  /** Answered 201. */
  accepted: number;
  cancelled: number;
  /** Orders of which a part was cancelled. */
  cut: number;
  refused: number;
  gaveUp: number;
  /** Definite answers that were neither 201 nor 200, by code. */
  readonly reasons: Map<string, number>;
}

export interface Customers {
  readonly tally: Tally;
  /** One order that goes to this address first; resolves when it has its answer. */
  placeAt(url: string): Promise<void>;
  /** No more new orders; ends when every customer has an answer. */
  stop(): Promise<void>;
}

export interface CustomersOptions {
  readonly client: Client;
  readonly assortment: Assortment;
  readonly random: () => number;
  /** Customers at one time who wait for their answers. */
  readonly callers: number;
  /** True while the floor and the road have as much as they should. */
  isFull(): boolean;
  readonly maxOrders: number;
}

const USERS = 5_000;
const PATIENCE_MS = 120_000;
const ZIPF_EXPONENT = 1.1;
/** Shares of all orders. */
const SCARCE_SHARE = 0.1;
const DECLINED_SHARE = 0.03;
const CANCEL_SHARE = 0.25;
/** One unit of the order is taken back. */
const CUT_SHARE = 0.05;
/** Of those that are cancelled or cut, how many wait first, so that goods are in a tote or a parcel is packed. */
const LATE_SHARE = 0.5;
const LATE_MS = 3_000;
const READ_MS = 250;
const MAX_READS = 20_000;

/** Who each place orders, over and over, until they are told to stop. */
export function startCustomers(options: CustomersOptions): Customers {
  const { client, assortment, random } = options;
  const tally: Tally = {
    ...{
      placed: [],
      reads: [],
      accepted: 0,
      cancelled: 0,
      cut: 0,
      refused: 0,
      gaveUp: 0,
      reasons: new Map(),
    },
  };
  const pick = zipf(assortment.plenty.length, ZIPF_EXPONENT, random);
  /** Cancellations, and orders that somebody else asked for. */
  const aside = new Set<Promise<void>>();
  const track = (work: Promise<void>): Promise<void> => {
    const tracked = work.finally(() => aside.delete(tracked));
    aside.add(tracked);
    return tracked;
  };
  let made = 0;
  let isStopped = false;

  async function place(at?: string): Promise<void> {
    const sub = `u-${made++ % USERS}`;
    const key = newUuid();
    const method = random() < DECLINED_SHARE ? "tok_declined" : "tok_visa";
    const lines = linesOf();
    const body = orderOf(lines, method);
    const lot = random();
    const late = random() < LATE_SHARE;
    const ask = { sub, role: "customer", method: "POST", path: "/v1/orders", body, key } as const;
    const reply = await client.insist("orders", { ...ask, ...(at === undefined ? {} : { at }) }, PATIENCE_MS);
    note(sub, key, reply);
    if (!isGood(reply) || lot >= CANCEL_SHARE + CUT_SHARE) return;
    const id = String(reply.body.id);
    void track(changeMind(sub, id, late, lot < CANCEL_SHARE ? undefined : lines[0]));
  }

  function linesOf(): Line[] {
    const { scarce, plenty } = assortment;
    if (scarce.length > 0 && random() < SCARCE_SHARE) {
      const sku = scarce[Math.floor(random() * scarce.length)];
      return [{ sku: sku ?? "", quantity: 1 + Math.floor(random() * 3) }];
    }
    const wanted = new Set<string>();
    const count = 1 + Math.floor(random() * 2);
    while (wanted.size < count) wanted.add(plenty[pick()] ?? "");
    return [...wanted].map((sku) => ({ sku, quantity: 1 }));
  }

  function note(sub: string, key: string, { status, body }: Reply): void {
    if (status === 0) {
      tally.gaveUp++;
      tally.placed.push({ sub, key });
      return;
    }
    const orderId = status === 200 || status === 201 ? String(body?.id) : undefined;
    tally.placed.push({ sub, key, answer: { status, orderId } });
    if (orderId !== undefined) {
      tally.accepted++;
      return;
    }
    tally.refused++;
    const reason = String(body?.code ?? status);
    tally.reasons.set(reason, (tally.reasons.get(reason) ?? 0) + 1);
  }

  /** Takes back one unit of `line`, or the whole order. */
  async function changeMind(sub: string, id: string, late: boolean, line: Line | undefined): Promise<void> {
    if (late) await pause(LATE_MS);
    const body = line ? { lines: [{ sku: line.sku, quantity: 1 }] } : {};
    if (!(await cancelOrder(client, sub, id, body))) return;
    if (line) tally.cut++;
    else tally.cancelled++;
  }

  async function loop(): Promise<void> {
    while (!isStopped && made < options.maxOrders) {
      if (options.isFull()) await pause(50);
      else await place();
    }
  }

  async function read(): Promise<void> {
    const names = [...assortment.scarce, ...assortment.plenty.slice(0, 3)];
    for (let turn = 0; !isStopped && tally.reads.length < MAX_READS; turn++) {
      const sku = names[turn % names.length] ?? "";
      const invokedAtMs = monotonicMs();
      const path = `/v1/stock?sku=${sku}`;
      const { status, body } = await client.ask("inventory", {
        sub: "u-staff",
        role: "staff",
        method: "GET",
        path,
      });
      const [row] = status === 200 ? body.stock : [];
      if (row) {
        const { version, onHand, allocated, damaged } = row;
        tally.reads.push({
          sku,
          version,
          onHand,
          allocated,
          damaged,
          invokedAtMs,
          answeredAtMs: monotonicMs(),
        });
      }
      await pause(READ_MS);
    }
  }

  const loops = [read(), ...Array.from({ length: options.callers }, loop)];
  return {
    tally,
    placeAt: (url) => track(place(url)),
    async stop() {
      isStopped = true;
      await Promise.all(loops);
      while (aside.size > 0) await Promise.all(aside);
    },
  };
}

interface Line {
  readonly sku: string;
  readonly quantity: number;
}

/** A customer takes an order back, or these lines of it; false when it is too late for that, or nobody answered. */
export async function cancelOrder(
  client: Client,
  sub: string,
  id: string,
  body: { readonly lines?: readonly Line[] } = {},
): Promise<boolean> {
  const path = `/v1/orders/${id}/cancel`;
  const ask = { sub, role: "customer", method: "POST", path, body, key: newUuid() } as const;
  const { status } = await client.insist("orders", ask, PATIENCE_MS);
  return status === 200;
}

const isGood = ({ status }: Reply) => status === 200 || status === 201;

function orderOf(lines: readonly Line[], method: string): object {
  return {
    deliverTo: { latitude: 37.51, longitude: 127.04 },
    contact: { name: "Test Person", phone: "+82 2 555 0100", address: "1 Example Street" },
    lines,
    payment: { method },
  };
}

const PAGE = 100;
const PLENTY_UNITS = 1_000_000;

/** Registers the articles, receives their units and sets their prices. */
export async function stockUp(
  client: Client,
  sizes: { readonly plenty: number; readonly scarce: number; readonly scarceUnits: number },
): Promise<Assortment> {
  const plenty = Array.from({ length: sizes.plenty }, (_, index) => `plenty-${index}`);
  const scarce = Array.from({ length: sizes.scarce }, (_, index) => `scarce-${index}`);
  const all = [...plenty, ...scarce];
  const units = new Map(all.map((sku) => [sku, sku.startsWith("scarce") ? sizes.scarceUnits : PLENTY_UNITS]));
  const post = async (slice: "inventory" | "orders", path: string, body: object) => {
    const ask = { sub: "u-staff", role: "staff", method: "POST", path, body, key: newUuid() } as const;
    const reply = await client.insist(slice, ask, PATIENCE_MS);
    if (reply.status < 200 || reply.status > 299) throw new Error(`${path} was answered ${reply.status}`);
  };
  for (let from = 0; from < all.length; from += PAGE) {
    const page = all.slice(from, from + PAGE);
    const about = { name: "Test goods", weightGrams: 500, temperature: "ambient" };
    await post("inventory", "/v1/skus", {
      skus: page.map((sku) => ({ sku, barcode: `b-${sku}`, ...about })),
    });
    const lines = page.map((sku, index) => ({
      ...{ sku, quantity: units.get(sku) ?? 0 },
      bin: { aisle: from / PAGE + 1, position: index, level: 0 },
    }));
    await post("inventory", "/v1/receipts", { receiptId: newUuid(), lines });
    const price = { amountMinor: 1_000, currency: "KRW" };
    await post("orders", "/v1/prices", { prices: page.map((sku) => ({ sku, price })) });
  }
  return { plenty, scarce, units };
}
