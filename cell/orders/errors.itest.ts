import { afterAll, beforeAll, expect, test } from "vitest";
import { expectOk, fresh, orderBody, startCenter, type TestCenter } from "./testing/center.ts";
import { gatewayHeaders } from "./testing/wire.ts";

/** Bad input as it comes over the wire: each a problem document (RFC 9457) that says what to do, and nothing changed. */
let center: TestCenter;
let sku: string;
let dollars: string;
let orderId: string;
beforeAll(async () => {
  center = await startCenter();
  [sku, dollars] = [fresh("bad-a"), fresh("bad-usd")];
  await center.fill({ [sku]: 20, [dollars]: 5 });
  const prices = [
    { sku: dollars, price: { amountMinor: 5, currency: "USD" }, validFrom: "2020-01-01T00:00:00Z" },
  ];
  await center.cell.sql.query("DELETE FROM orders.price WHERE sku = $1", [dollars]);
  const staff = center.cell.as("u-staff", "staff").orders;
  expectOk(await staff.call({ method: "POST", path: "/v1/prices", body: { prices } }));
  orderId = expectOk(await center.place([{ sku, quantity: 1 }])).id;
});
afterAll(() => center.stop());

interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly instance: string;
  readonly code: string;
}
type Sent = {
  readonly path?: string;
  readonly method?: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Left out of the usual headers. */
  readonly without?: string;
};

async function send({
  path = "/v1/orders",
  method = "POST",
  body,
  headers,
  without,
}: Sent): Promise<Response> {
  const all = await gatewayHeaders(center.cell, fresh("bad"), headers);
  if (without !== undefined) delete all[without];
  return fetch(`${center.cell.url("orders")}${path}`, {
    method,
    headers: all,
    ...(body === undefined ? {} : { body }),
  });
}

/** All that an order may leave behind, and what is on the shelf. */
async function everything(): Promise<unknown> {
  const tables = ["orders", "state_log", "saga", "effect", "contact", "return_case", "refund", "closed_key"];
  const each = tables.map((table) => `(SELECT count(*) FROM orders.${table})::INT8 AS ${table}`);
  const counts = await center.cell.sql.query(`SELECT ${each.join(", ")}`);
  const money = await center.psp.ledger("");
  return {
    counts,
    stock: await center.stock(sku),
    dollars: await center.stock(dollars),
    money: money.totals,
  };
}

const lines = (quantity: unknown, more: object = {}) =>
  JSON.stringify({ ...orderBody([]), lines: [{ sku, quantity, ...more }] });
const raw = (change: (text: string) => string) => change(lines(1));
const manyLines = (count: number, code: (index: number) => string) =>
  JSON.stringify({
    ...orderBody([]),
    lines: Array.from({ length: count }, (_, index) => ({ sku: code(index), quantity: 1 })),
  });
const ofOrder = (path: string, body: object): Sent => ({
  path: `/v1/orders/${orderId}${path}`,
  body: JSON.stringify(body),
});
const expected = (currency: string, amountMinor = 1_000) => ({ expectedPrice: { amountMinor, currency } });

const TABLE: readonly (readonly [name: string, status: number, code: string, sent: () => Sent])[] = [
  ["no JSON", 400, "invalid-request", () => ({ body: raw((text) => text.slice(0, -1)) })],
  ["nothing at all", 400, "invalid-request", () => ({ body: "" })],
  ["a list instead of an order", 400, "invalid-request", () => ({ body: "[]" })],
  ["no lines", 400, "invalid-request", () => ({ body: JSON.stringify(orderBody([])) })],
  ["a negative quantity", 400, "invalid-request", () => ({ body: lines(-1) })],
  ["a quantity of nothing", 400, "invalid-request", () => ({ body: lines(0) })],
  ["a fractional quantity", 400, "invalid-request", () => ({ body: lines(1.5) })],
  ["a quantity above 999", 400, "invalid-request", () => ({ body: lines(1_000) })],
  [
    "a huge quantity",
    400,
    "invalid-request",
    () => ({ body: raw((text) => text.replace(":1}", ":1e308}")) }),
  ],
  ["a quantity in words", 400, "invalid-request", () => ({ body: lines("2") })],
  ["101 lines", 400, "invalid-request", () => ({ body: manyLines(101, (index) => `many-${index}`) })],
  ["10,000 lines", 400, "invalid-request", () => ({ body: manyLines(10_000, () => "a") })],
  ["a SKU that is none", 400, "invalid-request", () => ({ body: manyLines(1, () => "../../etc") })],
  [
    "a card number",
    400,
    "invalid-request",
    () => ({
      body: raw((text) => text.replace("tok_visa", "4242424242424242")),
    }),
  ],
  ["no key", 400, "idempotency-key-missing", () => ({ body: lines(1), without: "idempotency-key" })],
  ["a price below nothing", 400, "invalid-request", () => ({ body: lines(1, expected("KRW", -1)) })],
  ["a cursor twice", 400, "invalid-request", () => ({ method: "GET", path: "/v1/orders?limit=1&limit=2" })],
  ["a page of 101", 400, "invalid-request", () => ({ method: "GET", path: "/v1/orders?limit=101" })],
  ["no token", 401, "unauthenticated", () => ({ body: lines(1), without: "authorization" })],
  [
    "a token that is none",
    401,
    "unauthenticated",
    () => ({
      body: lines(1),
      headers: { authorization: "Bearer not.a.token" },
    }),
  ],
  [
    "a picker who orders",
    403,
    "forbidden",
    () => ({ body: lines(1), headers: { "x-cells-roles": "picker" } }),
  ],
  ["a customer who refunds", 403, "forbidden", () => ofOrder("/refunds", {})],
  ["an order that is not there", 404, "not-found", () => ({ method: "GET", path: "/v1/orders/none" })],
  [
    "an order of somebody else",
    404,
    "not-found",
    () => ({
      ...ofOrder("/cancel", {}),
      headers: { "x-cells-user": "u-else" },
    }),
  ],
  ["a path that is not there", 404, "not-found", () => ({ method: "GET", path: "/v1/nothing" })],
  ["a method that is not offered", 405, "method-not-allowed", () => ({ method: "PUT", body: lines(1) })],
  ["more than there is", 409, "out-of-stock", () => ({ body: lines(999) })],
  ["another price", 409, "price-changed", () => ({ body: lines(1, expected("KRW", 900)) })],
  [
    "an old version",
    409,
    "stale-transition",
    () => ({
      ...ofOrder("/cancel", {}),
      headers: { "if-match": '"1"' },
    }),
  ],
  [
    "goods that were never delivered",
    409,
    "conflict",
    () => ofOrder("/returns", { lines: [{ sku, quantity: 1, reason: "other" }] }),
  ],
  ["a body of 10 MB", 413, "payload-too-large", () => ({ body: "x".repeat(10 * 1024 * 1024) })],
  [
    "a body just above 256 KiB",
    413,
    "payload-too-large",
    () => ({ body: " ".repeat(256 * 1024) + lines(1) }),
  ],
  [
    "XML",
    415,
    "unsupported-media-type",
    () => ({
      body: "<order/>",
      headers: { "content-type": "application/xml" },
    }),
  ],
  [
    "a SKU that nobody sells",
    422,
    "unprocessable",
    () => ({ body: manyLines(1, () => "nobody-sells-this") }),
  ],
  ["an expectation in another currency", 422, "unprocessable", () => ({ body: lines(1, expected("USD")) })],
  [
    "a SKU that is priced in another currency",
    422,
    "unprocessable",
    () => ({
      body: manyLines(1, () => dollars),
    }),
  ],
  [
    "units that are not in the order",
    422,
    "unprocessable",
    () => ofOrder("/cancel", { lines: [{ sku, quantity: 2 }] }),
  ],
  [
    "a deadline that has passed",
    504,
    "deadline-exceeded",
    () => ({
      body: lines(1),
      headers: { "x-deadline-ms": "1" },
    }),
  ],
];

/** What an order that came to nothing leaves: itself, rejected, with its log. */
const LEAVES_AN_ORDER = new Set(["out-of-stock"]);

test.each(TABLE)("%s: %i %s", async (_name, status, code, sent) => {
  const before = await everything();
  const response = await send(sent());
  expect([response.status, response.headers.get("content-type")]).toEqual([
    status,
    expect.stringContaining("application/problem+json"),
  ]);
  const problem = (await response.json()) as Problem;
  expect(problem).toMatchObject({
    type: `urn:fulfillment-cells:problem:${code}`,
    title: expect.stringMatching(/./),
    status,
    code,
    detail: expect.stringMatching(/\w+ .*\w/),
    instance: expect.stringMatching(/^\//),
  });
  expect(JSON.stringify(problem)).not.toMatch(/Example Street|4242/);
  if (!LEAVES_AN_ORDER.has(code)) expect(await everything()).toEqual(before);
  expect(await center.stock(sku)).toMatchObject({ onHand: 20, reserved: 0, allocated: 1 });
});

test("a payment that is declined: 402, and the stock is back", async () => {
  const body = JSON.stringify(orderBody([{ sku, quantity: 1 }], "tok_declined"));
  const response = await send({ body });
  expect(response.status).toBe(402);
  expect(await response.json()).toMatchObject({ code: "payment-declined" });
  expect(await center.stock(sku)).toMatchObject({ onHand: 20, reserved: 0, allocated: 1 });
});

test("the most that is allowed is taken: 100 lines, 999 units", async () => {
  const names = Array.from({ length: 100 }, (_, index) => `${sku}-${index}`);
  await center.fill(Object.fromEntries(names.map((name) => [name, 999])));
  const response = await send({
    body: JSON.stringify(orderBody(names.map((name) => ({ sku: name, quantity: 999 })))),
  });
  expect(response.status).toBe(201);
  expect(await response.json()).toMatchObject({ total: { amountMinor: 100 * 999 * 1_000 } });
});
