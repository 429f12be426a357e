import type { IncomingHttpHeaders } from "node:http";
import { afterEach, beforeEach, expect, it } from "vitest";
import { eventually } from "../../platform/testing/stores.ts";
import { SIGNATURE_HEADER } from "../../platform/webhook.ts";
import { answerJson, type CellServer } from "./testing/cellserver.ts";
import { type Harness, startHarness } from "./testing/harness.ts";

let gateway: Harness;
let cell: CellServer;
beforeEach(async () => {
  gateway = await startHarness({ cells: ["seoul"] });
  cell = gateway.cells[0] as CellServer;
});
afterEach(() => gateway.close());

const SIGNED = { [SIGNATURE_HEADER]: "t=1,v1=abc", "content-type": "application/json" };
const send = (body: string, headers: Record<string, string> = SIGNED, path = "/v1/webhooks/payments/seoul") =>
  fetch(`${gateway.url}${path}`, { method: "POST", headers, body });

it("passes a webhook on byte for byte, with the signature and with no user", async () => {
  const seen: { headers: IncomingHttpHeaders; body: string }[] = [];
  cell.answer = async (request, response) => {
    let body = "";
    for await (const chunk of request) body += String(chunk);
    seen.push({ headers: request.headers, body });
    answerJson(response, 200, { outcome: "applied" });
  };
  const body = '{ "id":"evt_1",\t"odd" : 1.50, "text":"\\u00e9 é" }';
  const claimed = { "x-cells-user": "boss", "x-cells-roles": "staff", ...SIGNED };
  const response = await send(body, claimed, "/v1/webhooks/payments/seoul?x=1");
  expect({ status: response.status, body: await response.json() }).toEqual({
    status: 200,
    body: { outcome: "applied" },
  });
  expect(seen[0]?.body).toBe(body);
  expect(seen[0]?.headers).toMatchObject(SIGNED);
  expect(seen[0]?.headers).not.toHaveProperty("x-cells-user");
  expect(seen[0]?.headers).not.toHaveProperty("x-cells-roles");
  expect(cell.taken).toEqual(["POST /internal/webhooks/processor"]);
});

it.each<[string, string, Record<string, string>, string, number, string]>([
  [
    "without a signature",
    "{}",
    { "content-type": "application/json" },
    "/v1/webhooks/payments/seoul",
    401,
    "unauthenticated",
  ],
  ["of 10 MB", "x".repeat(10_000_000), SIGNED, "/v1/webhooks/payments/seoul", 413, "payload-too-large"],
  ["for a center that is not there", "{}", SIGNED, "/v1/webhooks/payments/busan", 404, "not-found"],
  ["for another slice", "{}", SIGNED, "/v1/webhooks/orders/seoul", 404, "not-found"],
  ["with more behind the center", "{}", SIGNED, "/v1/webhooks/payments/seoul/internal", 404, "not-found"],
])("refuses one %s before a cell hears of it", async (_what, body, headers, path, status, code) => {
  const response = await send(body, headers, path);
  expect({ status: response.status, body: await response.json() }).toMatchObject({ status, body: { code } });
  expect(cell.taken).toEqual([]);
});

it("takes so many at once and no more, and more again when those are done", async () => {
  const release: (() => void)[] = [];
  cell.answer = (_request, response) =>
    void release.push(() => answerJson(response, 200, { outcome: "known" }));
  const first = Array.from({ length: 32 }, () => send("{}"));
  await eventually(async () => release.length === 32);
  const refused = await send("{}");
  expect({ status: refused.status, again: refused.headers.get("retry-after") }).toEqual({
    status: 503,
    again: "1",
  });
  for (const end of release.splice(0)) end();
  for (const response of await Promise.all(first)) expect(response.status).toBe(200);
  const last = send("{}");
  await eventually(async () => release.length === 1);
  release[0]?.();
  expect((await last).status).toBe(200);
});
