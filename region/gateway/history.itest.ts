import { afterEach, expect, test } from "vitest";
import { newId } from "../../platform/ids.ts";
import { answerJson, type CellServer } from "./testing/cellserver.ts";
import { type Harness, startHarness } from "./testing/harness.ts";

let gateway: Harness;
afterEach(() => gateway.close());

interface Page {
  readonly orders: { id: string }[];
  readonly nextCursor?: string;
  readonly partial: boolean;
  readonly missing: string[];
}

const CENTERS = Array.from({ length: 12 }, (_, index) => `center-${index}`);

async function ask(query = "", user: Parameters<Harness["authorization"]>[0] = {}): Promise<Response> {
  const headers = await gateway.authorization({ roles: ["customer"], ...user });
  return fetch(`${gateway.url}/v1/orders${query}`, { headers });
}
const pageOf = async (response: Response) => (await response.json()) as Page;

/** Answers with these orders as the slice does, and counts who asks at the same time. */
function serve(cell: CellServer, ids: readonly string[], during: () => Promise<void> = async () => {}): void {
  cell.answer = async (request, response) => {
    await during();
    const query = new URL(request.url ?? "/", "http://cell").searchParams;
    const cursor = query.get("cursor");
    const limit = Number(query.get("limit"));
    const own = ids.filter((id) => cursor === null || id < cursor);
    const orders = [...own].sort().reverse().slice(0, limit);
    const more = orders.length === limit ? { nextCursor: orders.at(-1) } : {};
    answerJson(response, 200, { orders: orders.map((id) => ({ id })), ...more });
  };
}

test("a user's orders at all centers, in pages, at most eight cells asked at once", async () => {
  gateway = await startHarness({ cells: CENTERS });
  const ids = Array.from({ length: 30 }, (_, index) => newId("ord", CENTERS[index % 12] ?? ""));
  let [now, most] = [0, 0];
  for (const cell of gateway.cells)
    serve(
      cell,
      ids.filter((id) => id.startsWith(`ord_${cell.entry.name}_`)),
      async () => {
        most = Math.max(most, ++now);
        await new Promise((resolve) => setTimeout(resolve, 20));
        now--;
      },
    );
  const seen: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await pageOf(await ask(`?limit=7${cursor === undefined ? "" : `&cursor=${cursor}`}`));
    expect(page).toMatchObject({ partial: false, missing: [] });
    seen.push(...page.orders.map(({ id }) => id));
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  expect(seen).toEqual([...ids].reverse());
  expect(most).toBeGreaterThan(1);
  expect(most).toBeLessThanOrEqual(8);
});

test("a cell that does not answer is named, and the others' orders are there all the same", async () => {
  gateway = await startHarness({ cells: ["good", "mute", "bad"] });
  const [good, mute, bad] = gateway.cells as [CellServer, CellServer, CellServer];
  const id = newId("ord", "good");
  serve(good, [id]);
  mute.answer = () => {};
  bad.answer = (_request, response) => answerJson(response, 500, {});
  const page = await pageOf(await ask());
  expect(page.orders).toEqual([{ id }]);
  expect(page).toMatchObject({ partial: true, missing: ["mute", "bad"] });
  expect(mute.taken).toEqual(["GET /v1/orders?limit=50"]);
});

test("nobody can be asked: a problem, not an empty history", async () => {
  gateway = await startHarness({ cells: ["bad"] });
  (gateway.cells[0] as CellServer).answer = (_request, response) => answerJson(response, 500, {});
  const response = await ask();
  expect([response.status, await response.json()]).toMatchObject([503, { code: "cell-unavailable" }]);
});

test("without a token, with a role that orders nothing, or a query that is none: told, and no cell hears of it", async () => {
  gateway = await startHarness({ cells: ["seoul"] });
  expect((await fetch(`${gateway.url}/v1/orders`)).status).toBe(401);
  expect((await ask("", { roles: ["picker"] })).status).toBe(403);
  for (const query of ["?limit=0", "?limit=101", "?limit=1.5", "?cursor=x", "?limit=1&limit=2"])
    expect([query, (await ask(query)).status]).toEqual([query, 400]);
  expect(gateway.cells[0]?.taken).toEqual([]);
});

test("staff get their own orders too: cells are asked for a customer's", async () => {
  gateway = await startHarness({ cells: ["seoul"] });
  let roles: unknown;
  (gateway.cells[0] as CellServer).answer = (request, response) => {
    roles = [request.headers["x-cells-user"], request.headers["x-cells-roles"]];
    answerJson(response, 200, { orders: [] });
  };
  expect(await pageOf(await ask("", { sub: "u-boss", roles: ["staff"] }))).toMatchObject({ orders: [] });
  expect(roles).toEqual(["u-boss", "customer"]);
});
