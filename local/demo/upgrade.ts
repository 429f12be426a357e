import { run } from "../cluster/command.ts";
import { ctr } from "../cluster/containerd.ts";
import { layoutOf } from "../cluster/layout.ts";
import type { Api, Person } from "./api.ts";
import { pause } from "./api.ts";
import type { CenterObject } from "./centers.ts";
import { isReady } from "./centers.ts";
import { getObject, kubectl, type Target } from "./install.ts";
import { type Center, orderOf, pointAt } from "./load.ts";

/** What a client without retries saw. */
export interface FlowCount {
  sent: number;
  /** Answers by status and code; 0 is a connection that broke. */
  readonly answers: Map<string, number>;
  /** What was no 2xx, with the time since the flow began; at most 50. */
  readonly failures: string[];
}

export interface Flow {
  readonly count: FlowCount;
  /** Sends no more and waits for what is under way. */
  stop(): Promise<void>;
}

const MAX_FAILURES = 50;
/** One request in so many places an order; the others read one. */
const PLACE_EVERY = 4;

/** Sends so many requests a second at a center, whatever comes back: nothing is waited for and nothing is sent twice. */
export function startFlow(
  customer: Person,
  center: Center,
  options: { readonly perSecond: number; readonly skus: readonly string[]; readonly degrees: number },
): Flow {
  const count: FlowCount = { sent: 0, answers: new Map(), failures: [] };
  const underway = new Set<Promise<void>>();
  const placed: string[] = [];
  const startMs = performance.now();
  const send = async (turn: number) => {
    const known = placed[turn % Math.max(1, placed.length)];
    const sku = options.skus[turn % options.skus.length] ?? "";
    const places = known === undefined || turn % PLACE_EVERY === 0;
    const deliverTo = pointAt(center, center.radiusMeters * 0.6, options.degrees);
    const answer = places
      ? await customer.post("/v1/orders", orderOf({ deliverTo, skus: [sku] }))
      : await customer.get(`/v1/orders/${known}`);
    const key =
      `${answer.status} ${answer.status >= 200 && answer.status < 300 ? "" : (answer.body?.code ?? "")}`.trim();
    count.answers.set(key, (count.answers.get(key) ?? 0) + 1);
    if (answer.status === 201 && places) placed.push(answer.body.id);
    if ((answer.status < 200 || answer.status > 299) && count.failures.length < MAX_FAILURES)
      count.failures.push(
        `${((performance.now() - startMs) / 1000).toFixed(1)} s ${places ? "POST" : "GET"}: ${key} ${answer.body?.detail ?? ""}`,
      );
  };
  const timer = setInterval(() => {
    // A timer that came late sends what it has missed: the rate is the clients', not this machine's.
    const due = Math.floor(((performance.now() - startMs) / 1000) * options.perSecond);
    while (count.sent < due) {
      const one = send(count.sent++).finally(() => underway.delete(one));
      underway.add(one);
    }
  }, 10);
  return {
    count,
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

interface Released extends CenterObject {
  readonly status?: NonNullable<CenterObject["status"]> & {
    readonly release?: { readonly current?: string };
  };
}

/** Sets the image of a center and waits until every service of it runs that. */
export async function rollOut(
  target: Target,
  center: string,
  image: string,
  options: { readonly timeoutMs: number; note(text: string): void },
): Promise<void> {
  await kubectl(target, [
    "patch",
    "fc",
    center,
    "--type=merge",
    "-p",
    JSON.stringify({ spec: { release: { image } } }),
  ]);
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

export interface UpgradeOptions {
  readonly target: Target;
  readonly api: Api;
  readonly center: Center;
  readonly skus: readonly string[];
  readonly image: string;
  readonly perSecond: number;
  /** In which direction from the center orders go; where no other center delivers. */
  readonly degrees: number;
  readonly timeoutMs: number;
  note(text: string): void;
}

const BEFORE_MS = 3_000;
const AFTER_MS = 5_000;

/** A release while orders flow: a little of before, the whole rollout, a little of after. */
export async function upgradeUnderLoad(options: UpgradeOptions): Promise<FlowCount> {
  const { api, center, target, image } = options;
  const customer = await api.as("upgrade-customer", "customer");
  const flow = startFlow(customer, center, options);
  try {
    await pause(BEFORE_MS);
    await rollOut(target, center.name, image, options);
    await pause(AFTER_MS);
  } finally {
    await flow.stop();
  }
  return flow.count;
}
