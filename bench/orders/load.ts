import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { join } from "node:path";
import type { OrderAnswer } from "../../cell/orders/contract.ts";
import { newUuid } from "../../platform/ids.ts";
import { createLot } from "../../platform/testing/lot.ts";
import { createSigner, type PrivateKey } from "../../platform/trust.ts";
import { serveParent } from "../load/child.ts";
import { closedLoop, openLoop } from "../load/drive.ts";
import { zipf } from "../load/random.ts";

/** Where the cell is, and what is ordered there. */
export interface OrdersTarget {
  readonly url: string;
  readonly center: string;
  readonly trustDir: string;
  readonly skus: number;
  readonly linesPerOrder: number;
}

const SEED = 20_261_121;
const ZIPF_EXPONENT = 1.1;
const USERS = 5_000;
/** What a client repeats with the same key: the order is still being placed, or there is no room. */
const ASK_AGAIN = new Set([409, 429, 503, 504]);
const REPEAT_AFTER_MS = 100;
const PATIENCE_MS = 180_000;
const MAX_SOCKETS = 256;

async function main(target: OrdersTarget): Promise<void> {
  const jwk = JSON.parse(readFileSync(join(target.trustDir, "cell-key.jwk"), "utf8")) as PrivateKey;
  const signer = await createSigner({ jwk, issuer: "gateway", subject: "gateway" });
  const agent = new Agent({ keepAlive: true, maxSockets: MAX_SOCKETS });
  const { hostname, port } = new URL(target.url);
  let users = 0;

  function send(headers: Record<string, string>, body: string): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const options = { agent, hostname, port, path: "/v1/orders", method: "POST", headers };
      const sending = request(options, (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
        response.on("error", reject);
      });
      sending.on("error", (error: NodeJS.ErrnoException) => {
        // The cell lets idle connections go, and this one as it was used again; under its key the request can be repeated.
        if (sending.reusedSocket && error.code === "ECONNRESET")
          resolve({ status: 503, text: error.message });
        else reject(error);
      });
      sending.end(body);
    });
  }

  /** One order until it is confirmed, repeated under its key as a client would. The time of repetitions counts. */
  async function place(pick: () => number): Promise<boolean> {
    const body = JSON.stringify(orderOf(target.linesPerOrder, pick));
    const headers = {
      authorization: `Bearer ${await signer.token(target.center)}`,
      "content-type": "application/json",
      "content-length": String(Buffer.byteLength(body)),
      "idempotency-key": newUuid(),
      "x-cells-user": `u-${users++ % USERS}`,
      "x-cells-roles": "customer",
    };
    const untilMs = performance.now() + PATIENCE_MS;
    for (;;) {
      const { status, text } = await send(headers, body);
      if (ASK_AGAIN.has(status) && performance.now() < untilMs) {
        await new Promise((resolve) => setTimeout(resolve, REPEAT_AFTER_MS));
        continue;
      }
      const order = (status === 201 || status === 200 ? JSON.parse(text) : undefined) as
        | OrderAnswer
        | undefined;
      if (order?.state === "confirmed") return true;
      throw new Error(`an order was answered ${status}: ${text.slice(0, 300)}`);
    }
  }

  /** Before each measurement: the cell lets idle connections go, and one that is closing must not be the first to be used. */
  const picks = (round: number) => {
    agent.destroy();
    return zipf(target.skus, ZIPF_EXPONENT, createLot(SEED + round));
  };
  serveParent(
    {
      peak(round: number, options: Parameters<typeof closedLoop>[1]) {
        const pick = picks(round);
        return closedLoop(() => place(pick), options);
      },
      steady(round: number, options: { perSecond: number; durationMs: number }) {
        const pick = picks(round);
        return openLoop(() => place(pick), { ...options, seed: SEED + round });
      },
    },
    async () => agent.destroy(),
  );
}

function orderOf(lines: number, pick: () => number): object {
  const wanted = new Set<number>();
  while (wanted.size < lines) wanted.add(pick());
  return {
    deliverTo: { latitude: 37.51, longitude: 127.04 },
    contact: { name: "Test Person", phone: "+82 2 555 0100", address: "1 Example Street" },
    lines: [...wanted].map((sku) => ({ sku: `sku-${sku}`, quantity: 1 })),
    payment: { method: "tok_visa" },
  };
}

await main(JSON.parse(process.env.BENCH_TARGET ?? "{}") as OrdersTarget);
