import { randomUUID } from "node:crypto";
import { run } from "../cluster/command.ts";
import { ctr } from "../cluster/containerd.ts";
import { layoutOf } from "../cluster/layout.ts";
import type { Api, Person } from "./api.ts";
import { pause } from "./api.ts";
import type { CenterObject } from "./centers.ts";
import { isReady } from "./centers.ts";
import type { World } from "./facts.ts";
import { getObject, kubectl, type Target } from "./install.ts";
import { type Center, orderOf, pointAt } from "./load.ts";

/** An order that was answered with 201. */
export interface Accepted {
  readonly id: string;
  readonly sub: string;
  readonly key: string;
}

/** What a client without retries saw. */
export interface FlowCount {
  sent: number;
  /** Answers by status and code; 0 is a connection that broke or no answer in time. */
  readonly answers: Map<string, number>;
  /** What was no 2xx, with the time since the flow began; at most 50. */
  readonly failures: string[];
  readonly accepted: Accepted[];
  slowestMs: number;
}

export interface Flow {
  readonly count: FlowCount;
  elapsedSeconds(): number;
  /** Sends no more and waits for what is under way. */
  stop(): Promise<void>;
}

const MAX_FAILURES = 50;
/** One request in so many places an order; the others read. */
const PLACE_EVERY = 4;
/** A center gives no single customer more than a part of what it can do. */
const CUSTOMERS = 4;

interface Customer {
  readonly sub: string;
  readonly person: Person;
  readonly placed: string[];
}

/** Somebody who may read in each slice: staff, pickers and couriers ask there as often as customers do. */
export async function hireCustomers(api: Api): Promise<Customer[]> {
  const subs = Array.from({ length: CUSTOMERS }, (_, index) => `upgrade-customer-${index}`);
  return Promise.all(
    subs.map(async (sub) => ({
      sub,
      person: await api.as(sub, "customer", "picker", "courier"),
      placed: [],
    })),
  );
}

interface FlowOptions {
  readonly perSecond: number;
  readonly skus: readonly string[];
  /** In which direction from the center orders go; where no other center delivers. */
  readonly degrees: number;
}

/** What is read in turn: something of every slice, most of it from its database. */
function readingsOf(center: string, sku: string, orderId: string): readonly string[] {
  const at = `/v1/centers/${center}`;
  return [
    `/v1/orders/${orderId}`,
    `${at}/inventory/stock?sku=${sku}`,
    `${at}/fulfillment/pick-lists`,
    `/v1/tracking/${orderId}`,
    `${at}/dispatch/assignments`,
    `${at}/couriers/openapi.json`,
    `${at}/payments/openapi.json`,
  ];
}

/** Sends so many requests a second at a center, whatever comes back: nothing is waited for and nothing is sent twice. */
export function startFlow(customers: readonly Customer[], center: Center, options: FlowOptions): Flow {
  const count: FlowCount = { sent: 0, answers: new Map(), failures: [], accepted: [], slowestMs: 0 };
  const underway = new Set<Promise<void>>();
  const startMs = performance.now();
  const elapsedSeconds = () => (performance.now() - startMs) / 1000;
  const deliverTo = pointAt(center, center.radiusMeters * 0.6, options.degrees);

  async function send(turn: number): Promise<void> {
    const atSeconds = elapsedSeconds();
    const customer = customers[Math.floor(turn / PLACE_EVERY) % customers.length] as Customer;
    const sku = options.skus[turn % options.skus.length] ?? "";
    const known = customer.placed.at(-1);
    const readings = readingsOf(center.name, sku, known ?? "");
    const places = turn % PLACE_EVERY === 0;
    const path = known === undefined ? readings[1] : readings[turn % readings.length];
    const key = randomUUID();
    const answer = places
      ? await customer.person.post("/v1/orders", orderOf({ deliverTo, skus: [sku] }), key)
      : await customer.person.get(path ?? "");
    const tookMs = (elapsedSeconds() - atSeconds) * 1000;
    count.slowestMs = Math.max(count.slowestMs, tookMs);
    const isGood = answer.status >= 200 && answer.status < 300;
    const word = `${answer.status} ${isGood ? "" : (answer.body?.code ?? "")}`.trim();
    count.answers.set(word, (count.answers.get(word) ?? 0) + 1);
    if (places && answer.status === 201) {
      customer.placed.push(answer.body.id);
      count.accepted.push({ id: answer.body.id, sub: customer.sub, key });
    }
    if (!isGood && count.failures.length < MAX_FAILURES)
      count.failures.push(
        `${atSeconds.toFixed(1)} s, after ${tookMs.toFixed(0)} ms, ${places ? "POST /v1/orders" : `GET ${path}`}: ${word} ${answer.body?.reason ?? answer.body?.detail ?? ""}`,
      );
  }

  const timer = setInterval(() => {
    // A timer that came late sends what it has missed: the rate is the clients', not this machine's.
    const due = Math.floor(elapsedSeconds() * options.perSecond);
    while (count.sent < due) {
      const one = send(count.sent++).finally(() => underway.delete(one));
      underway.add(one);
    }
  }, 10);
  return {
    count,
    elapsedSeconds,
    async stop() {
      clearInterval(timer);
      await Promise.all(underway);
    },
  };
}

/** Gives an image of a local cluster a second name. @returns it */
export async function tagAgain(index: number, image: string, suffix: string): Promise<string> {
  const layout = layoutOf(index);
  const next = `${image}-${suffix}`;
  await run([...ctr(layout), "images", "tag", "--force", `docker.io/${image}`, `docker.io/${next}`]);
  return next;
}

/** What a rollout reads of a FulfillmentCenter. */
export interface Released extends CenterObject {
  readonly status?: NonNullable<CenterObject["status"]> & {
    readonly release?: { readonly current?: string };
  };
}

export async function setImage(target: Target, center: string, image: string): Promise<void> {
  const patch = JSON.stringify({ spec: { release: { image } } });
  await kubectl(target, ["patch", "fc", center, "--type=merge", "-p", patch]);
}

/** Sets the image of a center and waits until every service of it runs that. */
export async function rollOut(
  target: Target,
  center: string,
  image: string,
  options: { readonly timeoutMs: number; note(text: string): void },
): Promise<void> {
  await setImage(target, center, image);
  const untilMs = Date.now() + options.timeoutMs;
  let said = "";
  for (;;) {
    const object = await getObject<Released>(target, ["fc", center]);
    if (isReady(object) && object.status?.release?.current === image) return;
    const message = object.status?.conditions?.find(({ type }) => type === "Ready")?.message ?? "";
    if (message !== said) options.note(message);
    said = message;
    if (Date.now() > untilMs)
      throw new Error(`${center} does not run ${image} after ${options.timeoutMs / 1000} s: ${message}`);
    await pause(500);
  }
}

export interface UpgradeOptions extends FlowOptions {
  readonly target: Target;
  readonly api: Api;
  readonly center: Center;
  readonly image: string;
  readonly timeoutMs: number;
  /** Told what the center says of itself, with the time since the flow began. */
  note(text: string): void;
}

const BEFORE_MS = 6_000;
const AFTER_MS = 5_000;

/** A release while orders flow: a little of before, the whole rollout, a little of after. */
export async function upgradeUnderLoad(options: UpgradeOptions): Promise<FlowCount> {
  const { api, center, target, image, timeoutMs } = options;
  const flow = startFlow(await hireCustomers(api), center, options);
  const note = (text: string) => options.note(`${flow.elapsedSeconds().toFixed(1)} s: ${text}`);
  try {
    await pause(BEFORE_MS);
    note(`the image is ${image} now`);
    await rollOut(target, center.name, image, { timeoutMs, note });
    note("every service runs it");
    await pause(AFTER_MS);
  } finally {
    await flow.stop();
  }
  return flow.count;
}

/** How many orders each accepted key has in its center's books; one each is as it should be. */
export async function ordersPerKey(
  world: World,
  center: string,
  accepted: readonly Accepted[],
): Promise<ReadonlyMap<string, number>> {
  const rows = await world.query<{ id: string; sub: string; key: string }>(
    center,
    "SELECT id, sub, idempotency_key AS key FROM orders.orders WHERE sub LIKE 'upgrade-customer-%'",
  );
  const wordOf = ({ id, sub, key }: Accepted) => `${id} ${sub} ${key}`;
  const found = new Set(rows.map(wordOf));
  const perKey = new Map<string, number>();
  for (const { sub, key } of rows) perKey.set(`${sub} ${key}`, (perKey.get(`${sub} ${key}`) ?? 0) + 1);
  return new Map(
    accepted.map((one) => [
      wordOf(one),
      found.has(wordOf(one)) ? (perKey.get(`${one.sub} ${one.key}`) ?? 0) : 0,
    ]),
  );
}
