import type { OrderAnswer, ReturnAnswer } from "../cell/orders/contract.ts";
import { newUuid } from "../platform/ids.ts";
import type { Ask, Client, Reply } from "./client.ts";
import { pause } from "./time.ts";

/** The desk to which customers bring goods back, and which gives money without goods. */
export interface ReturnsDesk {
  readonly tally: { returned: number; refunded: number };
  /** Nobody comes any more; ends when whoever is there has been served. */
  stop(): Promise<void>;
}

const STAFF: Pick<Ask, "sub" | "role"> = { sub: "u-staff", role: "staff" };
const LOOK_MS = 1_000;
const PAGE = 100;
const PATIENCE_MS = 60_000;
/** Shares of delivered orders. */
const RETURN_SHARE = 0.25;
const REFUND_SHARE = 0.15;
/** Of what comes back. */
const DAMAGED_SHARE = 0.3;
/** Less than any order is worth. */
const GOODWILL_MINOR = 300;

/** Serves those whose orders were delivered, each order once, until it is told to stop. */
export function openReturnsDesk(client: Client, random: () => number): ReturnsDesk {
  const tally = { returned: 0, refunded: 0 };
  const seen = new Set<string>();
  let isStopped = false;

  function post(path: string, body: object): Promise<Reply> {
    const ask = { ...STAFF, method: "POST", path, body, key: newUuid() } as const;
    return client.insist("orders", ask, PATIENCE_MS);
  }

  async function bringBack({ id, lines }: OrderAnswer): Promise<void> {
    const sku = lines[0]?.sku ?? "";
    const asked = await post(`/v1/orders/${id}/returns`, {
      lines: [{ sku, quantity: 1, reason: "changed_mind" }],
    });
    // All units of it were cancelled, or nobody answered in time.
    if (asked.status !== 201) return;
    const { id: returnId } = asked.body as ReturnAnswer;
    const condition = random() < DAMAGED_SHARE ? "damaged" : "sellable";
    if ((await post(`/v1/returns/${returnId}/receive`, {})).status !== 200) return;
    const found = { lines: [{ sku, quantity: 1, condition }] };
    if ((await post(`/v1/returns/${returnId}/inspect`, found)).status === 200) tally.returned++;
  }

  async function giveMoney({ id, due: { currency } }: OrderAnswer): Promise<void> {
    const body = { amount: { amountMinor: GOODWILL_MINOR, currency }, reason: "late" };
    if ((await post(`/v1/orders/${id}/refunds`, body)).status === 202) tally.refunded++;
  }

  async function serve(order: OrderAnswer): Promise<void> {
    const lot = random();
    if (lot < RETURN_SHARE) await bringBack(order);
    else if (lot < RETURN_SHARE + REFUND_SHARE) await giveMoney(order);
  }

  async function loop(): Promise<void> {
    while (!isStopped) {
      const path = `/v1/orders?status=delivered&limit=${PAGE}`;
      const { status, body } = await client.ask("orders", { ...STAFF, method: "GET", path });
      for (const order of status === 200 ? (body.orders as OrderAnswer[]) : []) {
        if (isStopped) break;
        if (seen.has(order.id)) continue;
        seen.add(order.id);
        await serve(order);
      }
      await pause(LOOK_MS);
    }
  }

  const running = loop();
  return {
    tally,
    async stop() {
      isStopped = true;
      await running;
    },
  };
}
