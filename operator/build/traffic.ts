import { SLICE_NAMES, SLICE_PORTS, type SliceName } from "../../platform/slices.ts";

/** Pods of the cell that have a policy of their own. */
export type Inside = SliceName | "database" | "cache" | "provision" | "isolation-probe";
/** Who is met across the border of the cell. */
export type Outside =
  | "gateway"
  | "operator"
  | "monitoring"
  | "kafka"
  | "processor"
  | "internet"
  | "telemetry"
  | "external-database"
  | "other-cells";

/** One allowed direction of traffic. Everything that is not listed here is denied, in both directions. */
export interface Flow {
  readonly from: Inside | Outside;
  readonly to: Inside | Outside;
  /** TCP port of `to`; absent where the operator's settings say it (Kafka, processor, telemetry, external database). */
  readonly port?: number;
  /** Present where one end alone lets the traffic through, so that it is the other end that denies it. */
  readonly side?: "ingress" | "egress";
  readonly why: string;
}

export const DATABASE_PORTS = { PostgreSQL: 5432, CockroachDB: 26_257 } as const;
/** The Service answers on this port whatever the engine's own is. */
export const DATABASE_PORT = 5432;
export const CACHE_PORT = 6379;

const COMMANDS: readonly (readonly [SliceName, SliceName, string])[] = [
  ["orders", "inventory", "hold, allocate, release; stock for the summary"],
  ["orders", "payments", "authorize, capture, void, refund"],
  ["fulfillment", "inventory", "pick, short, putback; bins of a line"],
  ["dispatch", "tracking", "where the couriers are"],
  ["dispatch", "orders", "whether the parcel may leave"],
  ["dispatch", "couriers", "who may act for a courier"],
  ["tracking", "orders", "whose order it is, and how far"],
];

/** While Kafka is away each producer posts the same envelopes to its consumers. */
const EVENTS: Readonly<Record<SliceName, readonly SliceName[]>> = {
  inventory: [],
  orders: ["fulfillment", "dispatch", "tracking"],
  payments: ["orders"],
  fulfillment: ["orders", "dispatch"],
  dispatch: ["orders", "tracking"],
  couriers: ["dispatch"],
  tracking: [],
};

/** What the isolation probe tries from inside: the way that must be open, and one that each end alone must close. */
export const PROBED = { control: "cache", egress: "inventory", ingress: "tracking" } as const;

const PROBES: readonly Flow[] = [
  {
    ...{ from: "isolation-probe", to: PROBED.control, port: CACHE_PORT },
    why: "shows that the probe has a network at all",
  },
  {
    ...{ from: "isolation-probe", to: PROBED.egress, port: SLICE_PORTS[PROBED.egress], side: "ingress" },
    why: "open at its end: denied only if egress is enforced",
  },
  {
    ...{ from: "isolation-probe", to: PROBED.ingress, port: SLICE_PORTS[PROBED.ingress], side: "egress" },
    why: "open at the probe's end: denied only if ingress is enforced",
  },
  {
    ...{ from: "isolation-probe", to: "other-cells", side: "egress" },
    why: "open at the probe's end: the other cells have to deny it",
  },
];

/** The one list from which every NetworkPolicy of a cell is built. */
export const FLOWS: readonly Flow[] = [
  ...COMMANDS.map(([from, to, why]) => ({ from, to, port: SLICE_PORTS[to], why })),
  ...SLICE_NAMES.flatMap((from) =>
    EVENTS[from].map((to) => ({ from, to, port: SLICE_PORTS[to], why: "events while Kafka is away" })),
  ),
  ...SLICE_NAMES.flatMap((slice): Flow[] => [
    { from: slice, to: "cache", port: CACHE_PORT, why: "the cell's own Redis" },
    { from: slice, to: "kafka", why: "events" },
    { from: slice, to: "telemetry", why: "traces" },
    { from: "gateway", to: slice, port: SLICE_PORTS[slice], why: "customers, pickers, couriers and staff" },
    { from: "monitoring", to: slice, port: SLICE_PORTS[slice], why: "metrics" },
  ]),
  ...[...SLICE_NAMES, "provision" as const].flatMap((from): Flow[] => [
    { from, to: "database", why: "the cell's own shard" },
    { from, to: "external-database", why: "a shard that somebody else runs" },
  ]),
  {
    from: "operator",
    to: "orders",
    port: SLICE_PORTS.orders,
    why: "how many orders a draining cell still has",
  },
  { from: "provision", to: "cache", port: CACHE_PORT, why: "lets new credentials in and old ones out" },
  { from: "provision", to: "kafka", why: "makes and removes the cell's topics" },
  { from: "database", to: "database", why: "replicas of the shard" },
  ...PROBES,
  { from: "payments", to: "processor", why: "the processor's stand-in inside the cluster" },
  { from: "payments", to: "internet", port: 443, why: "real processors are names, policies know addresses" },
];

/** Ports on which a cell's pods listen, whatever its engine. */
export const CELL_PORTS: readonly number[] = [
  ...Object.values(DATABASE_PORTS),
  CACHE_PORT,
  ...SLICE_NAMES.map((slice) => SLICE_PORTS[slice]),
];

/** Addresses that are never a payment processor: private, shared, link-local, loopback and benchmark ranges. */
export const PRIVATE_RANGES = {
  v4: [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/3",
  ],
  v6: ["::1/128", "fc00::/7", "fe80::/10", "ff00::/8"],
} as const;
