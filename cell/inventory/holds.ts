import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gather } from "../../platform/gather.ts";
import type { Redis } from "../../platform/redis.ts";
import { MAX_HOLD_LIFE_MS } from "./allocate.ts";
import type { MirrorValue } from "./batch.ts";
import { aggregate, type Demand } from "./domain.ts";

/** What placing a hold came to. `lost`: the store has no generation, so nothing in it can be trusted. */
export type Placed =
  | {
      readonly kind: "placed";
      readonly expiresAtMs: number;
      readonly generation: string;
      readonly how: string;
    }
  | { readonly kind: "short"; readonly short: readonly ShortInStore[] }
  | { readonly kind: "closed" | "foreign" | "fenced" }
  | { readonly kind: "limited"; readonly sku: string }
  | { readonly kind: "more" | "lost" };

/** `available` is undefined for a SKU that the store does not mirror. */
export interface ShortInStore {
  readonly sku: string;
  readonly requested: number;
  readonly available: number | undefined;
}

export interface PlaceRequest {
  readonly holdId: string;
  /** Tells two calls for one hold apart: the same key gets the same answer. */
  readonly callKey: string;
  readonly orderId: string;
  readonly owner: string;
  readonly ttlMs: number;
  readonly lines: readonly Demand[];
}

/** `lost` when nothing could be released. */
export type Released = "released" | "gone" | "closed" | "lost" | "fenced";

export interface HeldDrift {
  readonly sku: string;
  readonly counted: number;
  readonly summed: number;
}

export interface HoldStatus {
  /** Undefined while the store is lost, or belongs to another epoch. */
  readonly generation: string | undefined;
  readonly runId: string | undefined;
  readonly openHolds: number;
  readonly expiredHolds: number;
  readonly newestEpoch: number;
  /** Holds that ended by their time since the last rebuild. */
  readonly everExpired: number;
}

/** How much of a SKU can be sold, and how much of that is held. */
export interface SkuLevel {
  readonly sku: string;
  readonly sellable: number;
  readonly reserved: number;
}

/** The volatile half of the stock: holds and the mirror of what can be sold, changed by one script only. */
export interface HoldStore {
  place(request: PlaceRequest): Promise<Placed>;
  /** Takes over a hold that SQL has granted. `token` belongs to a rebuild under way. */
  import(
    request: Omit<PlaceRequest, "ttlMs"> & { remainingMs: number; extended: boolean; token?: string },
  ): Promise<boolean>;
  /** What became of it, with the lines of one that was open. */
  release(holdId: string): Promise<{ how: Released; lines: readonly Demand[] }>;
  /** Takes out holds that expired, oldest first; each is handed out once. */
  expired(limit: number): Promise<{ holdId: string; lines: readonly Demand[] }[]>;
  /** After a commit: drops holds and takes newer mirror values. `dropped` is false when that half must be repeated. */
  settle(
    holdIds: readonly string[],
    mirrors: readonly MirrorValue[],
  ): Promise<{ fenced: boolean; dropped: boolean }>;
  /** Gives expired holds back, at most `limit`; undefined while the store is lost. */
  sweep(limit: number): Promise<number | undefined>;
  /** Held units by SKU; undefined while the store is lost. */
  reserved(skus: readonly string[]): Promise<Map<string, number> | undefined>;
  /** SKUs of which some units are neither held nor bound; undefined while the store is lost. */
  inStock(): Promise<string[] | undefined>;
  /** All SKUs of the mirror; undefined while the store is lost. */
  levels(): Promise<SkuLevel[] | undefined>;
  status(): Promise<HoldStatus>;
  /** What the mirror says of SKUs; those that it does not know are missing. Undefined for an older copy of the cell. */
  mirrored(skus: readonly string[]): Promise<Map<string, Omit<MirrorValue, "sku">> | undefined>;
  /** SKUs whose count of held units is not the sum of the open holds; undefined when there are more holds than `limit`, or none to trust. */
  audit(repair: boolean, limit: number): Promise<HeldDrift[] | undefined>;
  /** Identifies the server process; a new one may have lost its last writes. */
  runId(): Promise<string>;
  /** Takes the right to rebuild for `owner`; `done` when somebody else has rebuilt the store since it was `seen`. */
  begin(by: {
    readonly owner: string;
    /** Of this attempt. */
    readonly token: string;
    readonly lockMs: number;
    readonly runId: string;
    /** The generation on which the decision to rebuild was made. */
    readonly seen: string | undefined;
  }): Promise<"ok" | "done" | "busy" | "fenced">;
  /** Counts one page of surviving holds; the next cursor, -1 at the end, undefined when the rebuild was taken over. */
  recount(token: string, lockMs: number, from: number, count: number): Promise<number | undefined>;
  finish(token: string, generation: string, runId: string): Promise<boolean>;
}

/** Holds in one call of the script: enough to share its price, and few enough that nobody waits long for others. */
const MAX_PLACED_AT_ONCE = 128;

const BEGINNINGS: Readonly<Record<string, "ok" | "done" | "busy">> = { OK: "ok", DONE: "done", BUSY: "busy" };

/** Reads the script that lies beside this file in three parts. */
export function readHoldScript(): string {
  const parts = ["holds.lua", "holds-place.lua", "holds-rebuild.lua"];
  return parts.map((name) => readFileSync(join(import.meta.dirname, name), "utf8")).join("\n");
}

/** The keys of a center, in the order in which the script expects them; one hash tag, so one shard. */
export function holdKeys(center: string): string[] {
  const names = [
    "generation",
    "sellable",
    "version",
    "reserved",
    "expiry",
    "rebuild",
    "epoch",
    "hold:",
    "rate",
    "trail",
  ];
  return names.map((name) => `{inv:${center}}:${name}`);
}

/** Binds the script to one center and epoch. */
export function createHoldStore(options: {
  redis: Redis;
  center: string;
  epoch: number;
  script: string;
  /** Holds that may be asked for of one SKU in a second of the store's clock; 0 is no limit. */
  ratePerSku: number;
}): HoldStore {
  const { redis } = options;
  const keys = holdKeys(options.center);
  const [, sellableKey = "", , reservedKey = ""] = keys;
  const trailKey = keys[9] ?? "";
  const run = (operation: string, ...args: (string | number)[]) =>
    redis.script<string[]>(
      { name: "inventory.holds", lua: options.script },
      { keys, args: [operation, options.epoch, ...args], atOnce: true },
    );
  const place = gather(async (requests: readonly PlaceRequest[]): Promise<Placed[]> => {
    const asked = requests.map((request) => packed(request, request.ttlMs));
    // One argument and one answer for all of them: what they cost on both sides depends on how many there are.
    const answer = await run("place", MAX_HOLD_LIFE_MS, options.ratePerSku, JSON.stringify(asked));
    const [word, generation = "", told = "[]"] = answer;
    if (word !== "OK") return requests.map(() => toPlaced(answer));
    const answers = JSON.parse(told) as (string | string[])[];
    return answers.map((one) =>
      typeof one === "string"
        ? { kind: "placed", expiresAtMs: Number(one), generation, how: "new" }
        : toPlaced(one),
    );
  }, MAX_PLACED_AT_ONCE);

  return {
    place,
    async import(request) {
      const { remainingMs, extended, token } = request;
      const hold = JSON.stringify(packed(request, remainingMs));
      const answer = await run("import", token ?? "", extended ? 1 : 0, hold);
      return answer[0] === "OK";
    },
    async release(holdId) {
      const [word, what, packed = ""] = await run("release", holdId);
      if (word === "CLOSED") return { how: "closed", lines: [] };
      if (word !== "OK") return { how: word === "FENCED" ? "fenced" : "lost", lines: [] };
      return { how: what === "released" ? "released" : "gone", lines: linesOf(packed) };
    },
    async expired(limit) {
      const taken = await redis.call<string[] | null>("LPOP", trailKey, limit);
      return (taken ?? []).map((entry) => {
        const at = entry.indexOf(" ");
        return { holdId: entry.slice(0, at), lines: linesOf(entry.slice(at + 1)) };
      });
    },
    async settle(holdIds, mirrors) {
      const values = mirrors.flatMap(({ sku, version, sellable }) => [sku, version, sellable]);
      const [word, , dropped] = await run("settle", holdIds.length, ...holdIds, ...values);
      return { fenced: word === "FENCED", dropped: word === "OK" && dropped === "1" };
    },
    async sweep(limit) {
      const [word, swept] = await run("sweep", limit);
      return word === "OK" ? Number(swept) : undefined;
    },
    async reserved(skus) {
      if (skus.length === 0) return new Map();
      const [word, ...units] = await run("reserved", ...skus);
      return word === "OK" ? new Map(skus.map((sku, index) => [sku, Number(units[index])])) : undefined;
    },
    async levels() {
      if ((await this.status()).generation === undefined) return undefined;
      const sellable = pairs(await redis.call("HGETALL", sellableKey));
      const reserved = new Map(pairs(await redis.call("HGETALL", reservedKey)));
      return sellable.map(([sku, units]) => ({ sku, sellable: units, reserved: reserved.get(sku) ?? 0 }));
    },
    async inStock() {
      const levels = await this.levels();
      return levels?.filter(({ sellable, reserved }) => sellable > reserved).map(({ sku }) => sku);
    },
    async status() {
      const [, generation, runId, open, expired, newest, ever] = await run("status");
      return {
        generation: generation || undefined,
        runId: runId || undefined,
        openHolds: Number(open),
        expiredHolds: Number(expired),
        newestEpoch: Number(newest),
        everExpired: Number(ever),
      };
    },
    async mirrored(skus) {
      if (skus.length === 0) return new Map();
      const [word, ...values] = await run("mirror", ...skus);
      if (word !== "OK") return undefined;
      const found = new Map<string, Omit<MirrorValue, "sku">>();
      for (const [index, sku] of skus.entries()) {
        const [version, sellable] = [values[2 * index], values[2 * index + 1]];
        if (version) found.set(sku, { version: Number(version), sellable: Number(sellable) });
      }
      return found;
    },
    async audit(repair, limit) {
      const [word, ...rest] = await run("audit", repair ? 1 : 0, limit);
      if (word !== "OK") return undefined;
      const drifts: HeldDrift[] = [];
      for (let i = 0; i + 2 < rest.length; i += 3)
        drifts.push({ sku: rest[i] ?? "", counted: Number(rest[i + 1]), summed: Number(rest[i + 2]) });
      return drifts;
    },
    async runId() {
      const info = String(await redis.call("INFO", "server"));
      return /run_id:(\S+)/.exec(info)?.[1] ?? "";
    },
    async begin({ owner, token, lockMs, runId, seen }) {
      const [word = ""] = await run("begin", owner, token, lockMs, runId, seen ?? "");
      return BEGINNINGS[word] ?? "fenced";
    },
    async recount(token, lockMs, from, count) {
      const [word, next] = await run("recount", token, lockMs, from, count);
      return word === "OK" ? Number(next) : undefined;
    },
    async finish(token, generation, runId) {
      return (await run("finish", token, generation, runId))[0] === "OK";
    },
  };
}

/** A hold as the script takes it. Whose it is goes as one text, which the script compares as a whole and stores on one line. */
function packed(
  { holdId, callKey, owner, orderId, lines: asked }: Omit<PlaceRequest, "ttlMs">,
  ttlMs: number,
): (string | number)[] {
  const hold = [holdId, callKey, JSON.stringify([owner, orderId]), ttlMs];
  const lines = asked.length === 1 ? asked : aggregate(asked);
  for (const { sku, quantity } of lines) hold.push(sku, quantity);
  return hold;
}

function toPlaced(answer: readonly string[]): Placed {
  const [word, ...rest] = answer;
  switch (word) {
    case "OK":
      return { kind: "placed", expiresAtMs: Number(rest[0]), generation: rest[1] ?? "", how: rest[2] ?? "" };
    case "SHORT": {
      const short: ShortInStore[] = [];
      for (let i = 0; i + 2 < rest.length; i += 3) {
        const available = rest[i + 2] === "unknown" ? undefined : Number(rest[i + 2]);
        short.push({ sku: rest[i] ?? "", requested: Number(rest[i + 1]), available });
      }
      return { kind: "short", short };
    }
    case "CLOSED":
      return { kind: "closed" };
    case "FOREIGN":
      return { kind: "foreign" };
    case "RATE":
      return { kind: "limited", sku: rest[0] ?? "" };
    case "MORE":
      return { kind: "more" };
    case "FENCED":
      return { kind: "fenced" };
    default:
      return { kind: "lost" };
  }
}

/** Lines as the script packs them: `milk=2 rice=1`. */
function linesOf(packed: string): Demand[] {
  return [...packed.matchAll(/([^ ]+)=(\d+)/g)].map(([, sku = "", units]) => ({
    sku,
    quantity: Number(units),
  }));
}

function pairs(flat: unknown): [string, number][] {
  // RESP2 answers a list of fields and values, RESP3 and some clients an object.
  if (!Array.isArray(flat)) {
    return Object.entries((flat ?? {}) as Record<string, string>).map(([sku, units]) => [sku, Number(units)]);
  }
  const found: [string, number][] = [];
  for (let i = 0; i + 1 < flat.length; i += 2) found.push([String(flat[i]), Number(flat[i + 1])]);
  return found;
}
