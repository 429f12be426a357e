import { randomUUID } from "node:crypto";
import type { Report } from "../cluster/report.ts";
import { type Crew, hireCrew } from "./actors.ts";
import { type Api, pause } from "./api.ts";
import { type DrillResult, type Killer, runDrill } from "./drill.ts";
import {
  type Earlier,
  type Facts,
  parseMetrics,
  readEarlier,
  readFacts,
  sumOf,
  type World,
} from "./facts.ts";
import { type Center, loadStock, orderOf, pointAt, waitForOrders } from "./load.ts";

export interface ScenarioOptions {
  readonly api: Api;
  readonly world: World;
  readonly killer: Killer;
  readonly centers: readonly Center[];
  readonly root: string;
  readonly report: Report;
  readonly orders: number;
  readonly holdSeconds: number;
}

export interface ScenarioResult {
  readonly facts: Facts;
  readonly drill: DrillResult;
  /** What the run itself expected and did not find; empty when all is well. */
  readonly complaints: readonly string[];
}

const CREW = { pickers: 2, couriers: 5 };
const MAIN_TIMEOUT_MS = 150_000;
const SETTLE_TIMEOUT_MS = 60_000;

/** Steps 4 to 6: stock and people, orders, the special cases, the drill, and what the books say afterwards. */
export async function runScenario(options: ScenarioOptions): Promise<ScenarioResult> {
  const { api, world, centers, report, root } = options;
  const [first, second] = centers;
  if (!first || !second) throw new Error("the demo needs two centers");
  const before = sumOf(parseMetrics(await world.metrics()), "gateway_rejections_total", isNoCenter);
  const earlier = await readEarlier(
    world,
    centers.map(({ name }) => name),
  );
  const skus = await report.step(
    "Load stock, bins and prices",
    "through the API of each center",
    async () => {
      const loaded = await Promise.all(centers.map((center) => loadStock(api, root, center)));
      return loaded[0] ?? [];
    },
  );
  const crews = await report.step(
    "Bring pickers and couriers on shift",
    "they use the API like their devices",
    () => Promise.all(centers.map((center) => hireCrew(api, center, CREW))),
  );
  try {
    const complaints = await report.step(
      `Place ${options.orders} orders and deliver them`,
      "hold, authorise, allocate, pick, pack, dispatch, deliver, capture",
      () => placeAndDeliver(options, skus),
    );
    const drill = await report.step("Kill one cell while orders flow", "the other must not notice", () =>
      runDrill({
        ...options,
        killed: first,
        other: second,
        skus,
        note: (text) => report.note(text),
      }),
    );
    const facts = await report.step("Read the books", "databases, processor, gateway", () =>
      settled(options, earlier, before),
    );
    return { facts, drill, complaints: [...complaints, ...judge(facts, drill, options.orders)] };
  } finally {
    await stopCrews(crews);
  }
}

const isNoCenter = ({ reason }: Readonly<Record<string, string>>) => reason === "no-center";

async function placeAndDeliver(
  { api, centers, orders, report }: ScenarioOptions,
  skus: readonly string[],
): Promise<string[]> {
  const complaints: string[] = [];
  const customer = await api.as("customer-1", "customer");
  const ids: string[] = [];
  for (let index = 0; index < orders; index++) {
    const center = centers[index % centers.length] as Center;
    const deliverTo = pointAt(center, 400 + 37 * index, (index * 137) % 360);
    const wanted = [skus[index % skus.length] ?? "", skus[(index * 7 + 3) % skus.length] ?? ""];
    const body = orderOf({ deliverTo, skus: [...new Set(wanted)] });
    const key = randomUUID();
    const answer = await customer.post("/v1/orders", body, key);
    if (answer.status === 201) ids.push(answer.body.id);
    else
      complaints.push(
        `order ${index + 1} was answered ${answer.status} ${answer.body?.code ?? ""}: ${answer.body?.detail ?? ""}`,
      );
    report.note(`${ids.length} of ${orders} placed`);
  }
  const far = await customer.post(
    "/v1/orders",
    orderOf({ deliverTo: { latitude: 35.18, longitude: 129.08 }, skus: skus.slice(0, 1) }),
  );
  if (far.status !== 422) complaints.push(`an order that nobody can serve was answered ${far.status}`);
  const near = pointAt(centers[0] as Center, 900, 45);
  const declined = await customer.post(
    "/v1/orders",
    orderOf({ deliverTo: near, skus: skus.slice(0, 1), method: "tok_declined" }),
  );
  if (declined.status !== 402)
    complaints.push(`a declined payment was answered ${declined.status} ${declined.body?.code}`);
  const doomed = await customer.post("/v1/orders", orderOf({ deliverTo: near, skus: skus.slice(1, 2) }));
  const cancelled =
    doomed.status === 201 ? await customer.post(`/v1/orders/${doomed.body.id}/cancel`, {}) : doomed;
  if (cancelled.status !== 200)
    complaints.push(`cancelling was answered ${cancelled.status} ${cancelled.body?.code}`);
  const note = (text: string) => report.note(`${text} delivered`);
  const late = await waitForOrders(customer, ids, ["delivered"], MAIN_TIMEOUT_MS, note);
  for (const id of late) complaints.push(`${id} was not delivered in time`);
  if (
    doomed.status === 201 &&
    (await waitForOrders(customer, [doomed.body.id], ["cancelled"], 30_000, () => {})).length > 0
  )
    complaints.push("the cancelled order did not come to its end");
  return complaints;
}

/** Captures follow deliveries by a moment: the books are read until they agree, within a bound. */
async function settled(
  { world, centers }: ScenarioOptions,
  earlier: Earlier,
  rejectedBefore: number,
): Promise<Facts> {
  const names = centers.map(({ name }) => name);
  const untilMs = Date.now() + SETTLE_TIMEOUT_MS;
  for (;;) {
    const rejections = sumOf(parseMetrics(await world.metrics()), "gateway_rejections_total", isNoCenter);
    const facts = await readFacts(world, names, earlier, rejections - rejectedBefore);
    const delivered = facts.orders.delivered + facts.drillOrders.delivered;
    const open = facts.orders.open + facts.drillOrders.open;
    if ((facts.captures.count === delivered && open === 0) || Date.now() > untilMs) return facts;
    await pause(500);
  }
}

/** What has to be true of every run, said in sentences when it is not. */
function judge(facts: Facts, drill: DrillResult, orders: number): string[] {
  const { captures } = facts;
  const delivered = facts.orders.delivered + facts.drillOrders.delivered;
  const rules: [boolean, string][] = [
    [facts.orders.delivered === orders, `${facts.orders.delivered} of ${orders} orders were delivered`],
    [facts.orders.rejected === 1, `${facts.orders.rejected} orders were refused for want of a center, not 1`],
    [facts.orders.cancelled === 1, `${facts.orders.cancelled} orders were cancelled, not 1`],
    [facts.orders.paymentFailed === 1, `${facts.orders.paymentFailed} payments failed, not 1`],
    [captures.count === delivered, `${captures.count} captures for ${delivered} delivered orders`],
    [
      captures.count === captures.distinctOrders,
      `${captures.count} captures for ${captures.distinctOrders} orders`,
    ],
    [facts.oversold === 0, `${facts.oversold} units were oversold`],
    [facts.duplicateOrders === 0, `${facts.duplicateOrders} keys have more than one order`],
    [
      drill.otherCellErrors === 0,
      `${drill.otherCellErrors} answers of ${drill.other} were no success during the drill`,
    ],
    [drill.otherCellRetries === 0, `${drill.otherCellRetries} requests to ${drill.other} were sent twice`],
    [drill.acceptedLost === 0, `${drill.acceptedLost} accepted orders did not end delivered`],
    [drill.rerouted > 0, "no order of the dead cell's area went to the other cell"],
  ];
  return rules.filter(([holds]) => !holds).map(([, sentence]) => sentence);
}

async function stopCrews(crews: readonly Crew[]): Promise<void> {
  await Promise.all(crews.map((crew) => crew.stop()));
}
