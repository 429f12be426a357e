import { randomUUID } from "node:crypto";
import { type Answer, type Api, type Person, pause, untilDone } from "./api.ts";

/** People who work at a center as far as the demo plays them: they only use the API. */
export interface Crew {
  stop(): Promise<void>;
}

interface Bin {
  readonly aisle: number;
  readonly position: number;
  readonly level: number;
}

interface PickList {
  readonly id: string;
  readonly orderId: string;
  readonly state: string;
  readonly lines: readonly {
    readonly id: string;
    readonly barcode: string;
    readonly weightGrams: number;
    readonly bin: Bin;
    readonly quantity: number;
    readonly picked: number;
    readonly short: number;
  }[];
}

interface Assignment {
  readonly id: string;
  readonly orderId: string;
  readonly state: string;
  readonly deliverTo: { readonly latitude: number; readonly longitude: number };
}

const POLL_MS = 400;
const STUBBORN_MS = 120_000;
const SIGN_OFF_MS = 10_000;
/** Lists in these states are rare: looked for at every so many looks. */
const RARE_STATES = ["cancelling", "picked", "picking"];
const RARE_EVERY = 5;

/** Labels on the shelf between picker and courier, as the courier's scanner would read them. */
export type Shelf = Map<string, string>;

/** Puts pickers and couriers to work at one center. */
export async function hireCrew(
  api: Api,
  center: { name: string; latitude: number; longitude: number },
  size: { pickers: number; couriers: number },
): Promise<Crew> {
  const shelf: Shelf = new Map();
  const stopping = new AbortController();
  const staff = await api.as("shift-manager", "staff");
  const loops: Promise<void>[] = [];
  for (let index = 0; index < size.pickers; index++) {
    const picker = await api.as(`picker-${center.name}-${index}`, "picker");
    const mine = (id: string) => shareOf(id, size.pickers) === index;
    loops.push(pickerLoop(picker, center.name, { tote: `tote-${index}`, mine }, shelf, stopping.signal));
  }
  const couriers = await Promise.all(
    Array.from({ length: size.couriers }, (_none, index) => hireCourier(api, staff, center, index)),
  );
  for (const courier of couriers) loops.push(courierLoop(courier, center, shelf, stopping.signal));
  return {
    async stop() {
      stopping.abort();
      await Promise.all(loops);
      // Who stays on shift would be offered parcels that nobody takes.
      const untilMs = Date.now() + SIGN_OFF_MS;
      const signOff = ({ id, person }: Courier) =>
        untilDone(() => person.post(`/v1/couriers/${id}/shift/end`, {}), untilMs);
      await Promise.all(couriers.map(signOff));
    },
  };
}

/** Pickers share the lists out among themselves, as a shift manager would: no two of them reach for one tote. */
function shareOf(id: string, pickers: number): number {
  return Number.parseInt(id.slice(-4), 16) % pickers;
}

async function pickerLoop(
  person: Person,
  center: string,
  share: { tote: string; mine(id: string): boolean },
  shelf: Shelf,
  signal: AbortSignal,
): Promise<void> {
  for (let look = 0; !signal.aborted; look++) {
    let worked = false;
    for (const state of look % RARE_EVERY === 0 ? ["open", ...RARE_STATES] : ["open"]) {
      const page = await person.get(`/v1/centers/${center}/fulfillment/pick-lists?state=${state}&limit=20`);
      const lists = (page.status === 200 ? page.body.pickLists : []) as PickList[];
      for (const list of lists)
        if (share.mine(list.id)) worked = (await work(person, list, share.tote, shelf)) || worked;
    }
    if (!worked) await pause(POLL_MS);
  }
}

/** Takes one list as far as it goes. */
async function work(person: Person, list: PickList, tote: string, shelf: Shelf): Promise<boolean> {
  const path = `/v1/pick-lists/${list.id}`;
  const untilMs = Date.now() + STUBBORN_MS;
  const post = (rest: string, body: unknown): Promise<Answer> => {
    const key = randomUUID();
    return untilDone(() => person.post(`${path}${rest}`, body, key), untilMs);
  };
  if (list.state === "cancelling") return (await post("/putback", {})).status === 200;
  if (list.state === "open" && (await post("/start", { tote })).status !== 200) return false;
  if (list.state === "open" || list.state === "picking")
    for (const line of list.lines) {
      const left = line.quantity - line.picked - line.short;
      if (left <= 0) continue;
      const { id: lineId, bin, barcode } = line;
      await post("/scans", { eventId: randomUUID(), lineId, bin, barcode, quantity: left });
    }
  const contentGrams = list.lines.reduce((sum, line) => sum + line.quantity * line.weightGrams, 0);
  const packed = await post("/pack", { weightGrams: contentGrams + 180 });
  if (packed.status !== 200) return false;
  shelf.set(list.orderId, packed.body.packageBarcode);
  return true;
}

interface Courier {
  readonly id: string;
  readonly person: Person;
}

async function hireCourier(
  api: Api,
  staff: Person,
  center: { name: string; latitude: number; longitude: number },
  index: number,
): Promise<Courier> {
  const sub = `courier-${center.name}-${index}`;
  const person = await api.as(sub, "courier");
  const untilMs = Date.now() + STUBBORN_MS;
  // The key makes a courier of an earlier run the same courier.
  const hired = await untilDone(
    () =>
      staff.post(
        `/v1/centers/${center.name}/couriers/couriers`,
        { name: `Courier ${index + 1}`, vehicle: "scooter", userSub: sub },
        `hire-${sub}`,
      ),
    untilMs,
  );
  if (hired.status !== 201)
    throw new Error(`a courier was not taken on: ${hired.status} ${hired.body?.detail}`);
  const { latitude, longitude } = center;
  const id = hired.body.id as string;
  const start = `/v1/couriers/${id}/shift/start`;
  const onShift = await untilDone(() => person.post(start, { latitude, longitude }), untilMs);
  if (onShift.status !== 200)
    throw new Error(`a shift did not begin: ${onShift.status} ${onShift.body?.detail}`);
  return { id, person };
}

const STEPS = 3;
const STEP_MS = 120;

async function courierLoop(
  { id, person }: Courier,
  center: { name: string; latitude: number; longitude: number },
  shelf: Shelf,
  signal: AbortSignal,
): Promise<void> {
  // Goes on from whatever an earlier run has counted.
  let seq = Date.now();
  let at = { latitude: center.latitude, longitude: center.longitude };
  const drive = async (to: { latitude: number; longitude: number }) => {
    const from = at;
    for (let step = 1; step <= STEPS; step++) {
      const share = step / STEPS;
      at = {
        latitude: from.latitude + (to.latitude - from.latitude) * share,
        longitude: from.longitude + (to.longitude - from.longitude) * share,
      };
      const fix = {
        courierId: id,
        seq: ++seq,
        ...at,
        accuracyMeters: 8,
        deviceTime: new Date().toISOString(),
      };
      await person.post(`/v1/centers/${center.name}/tracking/positions`, fix);
      await pause(STEP_MS);
    }
  };
  while (!signal.aborted) {
    const page = await person.get(`/v1/centers/${center.name}/dispatch/assignments?courierId=${id}`);
    const open = ((page.status === 200 ? page.body.assignments : []) as Assignment[]).find(({ state }) =>
      ["offered", "assigned", "handed_over", "arrived"].includes(state),
    );
    if (open) await deliver(person, open, shelf, drive, signal);
    else await pause(POLL_MS);
  }
}

async function deliver(
  person: Person,
  assignment: Assignment,
  shelf: Shelf,
  drive: (to: { latitude: number; longitude: number }) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const path = `/v1/assignments/${assignment.id}`;
  const untilMs = Date.now() + STUBBORN_MS;
  const post = async (rest: string, body: unknown): Promise<boolean> => {
    const key = randomUUID();
    return (await untilDone(() => person.post(`${path}${rest}`, body, key), untilMs)).status === 200;
  };
  let { state } = assignment;
  if (state === "offered") {
    if (!(await post("/ack", {}))) return;
    state = "assigned";
  }
  if (state === "assigned") {
    while (!shelf.has(assignment.orderId) && !signal.aborted && Date.now() < untilMs) await pause(POLL_MS);
    if (!(await post("/handoff", { packageBarcode: shelf.get(assignment.orderId) ?? "missing" }))) return;
    state = "handed_over";
  }
  await drive(assignment.deliverTo);
  if (state === "handed_over" && !(await post("/arrive", {}))) return;
  await post("/proof", { kind: "code", value: "4711" });
}
