import type { AssignmentAnswer } from "../cell/dispatch/contract.ts";
import type { PickListAnswer } from "../cell/fulfillment/contract.ts";
import { newUuid } from "../platform/ids.ts";
import type { SliceName } from "../platform/slices.ts";
import type { Ask, Client, Reply } from "./client.ts";
import { pause } from "./time.ts";

/** Pickers and couriers, as far as their devices go. */
export interface Crew {
  /** Ends when what is under way has ended. */
  stop(): Promise<void>;
}

const POLL_MS = 150;
/** Work that somebody has begun and a kill has interrupted is looked for more seldom, while there is other work. */
const RARE_EVERY = 8;
const PATIENCE_MS = 90_000;
const PICKER: Pick<Ask, "sub" | "role"> = { sub: "u-picker", role: "picker" };
const STAFF: Pick<Ask, "sub" | "role"> = { sub: "u-staff", role: "staff" };
const PACKAGING_GRAMS = 180;

/** The label on the parcel of an order; whoever comes by the order knows it. */
const labelOf = (orderId: string) => `P-${orderId}`.slice(0, 64);

/** Puts people to work until they are told to stop. A courier carries one parcel at a time; `hands`: pick lists, and parcels, under way at one time. */
export async function startCrew(
  client: Client,
  { couriers, hands }: { readonly couriers: number; readonly hands: number },
): Promise<Crew> {
  await Promise.all(Array.from({ length: couriers }, (_, index) => hire(client, index)));
  const stopping = new AbortController();
  const { signal } = stopping;
  const floor = worker<PickListAnswer>(signal, hands, {
    often: () => list(client, "fulfillment", "/v1/pick-lists?state=open&limit=100", PICKER, "pickLists"),
    seldom: () => lists(client, ["cancelling", "picking", "picked"]),
    run: (found) => pick(client, found),
  });
  const road = worker<AssignmentAnswer>(signal, hands, {
    often: () => list(client, "dispatch", "/v1/assignments?state=offered", STAFF, "assignments"),
    seldom: () => assignments(client, ["assigned", "handed_over", "arrived"]),
    run: (found) => deliver(client, found),
  });
  return {
    async stop() {
      stopping.abort();
      await Promise.all([floor, road]);
    },
  };
}

interface Work<T> {
  often(): Promise<T[]>;
  seldom(): Promise<T[]>;
  run(found: T): Promise<void>;
}

/** Looks for work and does it, several at once and each once at a time. */
async function worker<T extends { readonly id: string }>(
  signal: AbortSignal,
  hands: number,
  work: Work<T>,
): Promise<void> {
  const busy = new Map<string, Promise<void>>();
  for (let round = 0; !signal.aborted; round++) {
    const found = await work.often();
    if (round % RARE_EVERY === 0 || found.length === 0) found.push(...(await work.seldom()));
    for (const one of found) {
      if (busy.size >= hands) break;
      if (busy.has(one.id)) continue;
      busy.set(
        one.id,
        work.run(one).finally(() => busy.delete(one.id)),
      );
    }
    // A list costs the cell more than a step of a task: it is asked for when many can be taken from it.
    while (busy.size > hands / 2) await Promise.race(busy.values());
    await pause(POLL_MS);
  }
  await Promise.all(busy.values());
}

async function list<T>(
  client: Client,
  slice: SliceName,
  path: string,
  who: Pick<Ask, "sub" | "role">,
  field: string,
): Promise<T[]> {
  const { status, body } = await client.ask(slice, { ...who, method: "GET", path });
  return status === 200 ? (body[field] as T[]) : [];
}

async function lists(client: Client, states: readonly string[]): Promise<PickListAnswer[]> {
  const pages = states.map((state) =>
    list<PickListAnswer>(
      client,
      "fulfillment",
      `/v1/pick-lists?state=${state}&limit=100`,
      PICKER,
      "pickLists",
    ),
  );
  return (await Promise.all(pages)).flat();
}

async function assignments(client: Client, states: readonly string[]): Promise<AssignmentAnswer[]> {
  const pages = states.map((state) =>
    list<AssignmentAnswer>(client, "dispatch", `/v1/assignments?state=${state}`, STAFF, "assignments"),
  );
  return (await Promise.all(pages)).flat();
}

async function hire(client: Client, index: number): Promise<void> {
  const must = async (path: string, body: object, key: string) => {
    const ask = { ...STAFF, method: "POST", path, body, key } as const;
    const reply = await client.insist("couriers", ask, PATIENCE_MS);
    if (reply.status >= 300 || reply.status === 0) throw new Error(`${path} was answered ${reply.status}`);
    return reply;
  };
  const body = { name: `Courier ${index + 1}`, vehicle: "scooter" };
  const hired = await must("/v1/couriers", body, `hire-${index}`);
  const at = { latitude: 37.5, longitude: 127.03 };
  await must(`/v1/couriers/${hired.body.id}/shift/start`, at, `shift-${index}`);
}

/** Takes one pick list as far as it goes; what is refused was somebody else's, or is found again. */
async function pick(client: Client, found: PickListAnswer): Promise<void> {
  const post = (rest: string, body: object): Promise<Reply> => {
    const path = `/v1/pick-lists/${found.id}${rest}`;
    return client.insist(
      "fulfillment",
      { ...PICKER, method: "POST", path, body, key: newUuid() },
      PATIENCE_MS,
    );
  };
  if (found.state === "cancelling") {
    await post("/putback", {});
    return;
  }
  if (found.state === "open" && (await post("/start", { tote: "T-1" })).status !== 200) return;
  if (found.state !== "picked")
    for (const line of found.lines) {
      const left = line.quantity - line.picked - line.short;
      if (left <= 0) continue;
      const { id: lineId, bin, barcode } = line;
      const scan = { eventId: newUuid(), lineId, bin, barcode, quantity: left };
      if ((await post("/scans", scan)).status !== 200) return;
    }
  const contentGrams = found.lines.reduce((sum, line) => sum + line.quantity * line.weightGrams, 0);
  await post("/pack", {
    weightGrams: contentGrams + PACKAGING_GRAMS,
    packageBarcode: labelOf(found.orderId),
  });
}

async function deliver(client: Client, found: AssignmentAnswer): Promise<void> {
  const post = async (rest: string, body: object): Promise<boolean> => {
    const path = `/v1/assignments/${found.id}${rest}`;
    const ask = { ...STAFF, method: "POST", path, body, key: newUuid() } as const;
    return (await client.insist("dispatch", ask, PATIENCE_MS)).status === 200;
  };
  const steps: readonly (readonly [string, string, object])[] = [
    ["offered", "/ack", {}],
    ["assigned", "/handoff", { packageBarcode: labelOf(found.orderId) }],
    ["handed_over", "/arrive", {}],
    ["arrived", "/proof", { kind: "code", value: "4711" }],
  ];
  const from = steps.findIndex(([state]) => state === found.state);
  for (const [, rest, body] of steps.slice(Math.max(0, from))) if (!(await post(rest, body))) return;
}
