/** What the demo reads back at the end: orders and money from the databases and the processor, the rest from the gateway's metrics. */
export interface World {
  /** Rows of one cell's database as JSON. */
  query<R>(center: string, sql: string): Promise<R[]>;
  /** The processor's books of one merchant, every page. */
  ledger(center: string): Promise<LedgerEntry[]>;
  /** The gateway's metrics in Prometheus' text format. */
  metrics(): Promise<string>;
}

export interface LedgerEntry {
  readonly key: string;
  readonly kind: string;
  readonly status: string;
  readonly reference?: string;
  readonly authorizationKey: string;
}

export interface OrderFacts {
  readonly placed: number;
  readonly delivered: number;
  readonly rejected: number;
  readonly cancelled: number;
  readonly paymentFailed: number;
  /** Neither ended nor refused. */
  readonly open: number;
}

interface OrderRow {
  readonly id: string;
  readonly sub: string;
  readonly key: string;
  readonly state: string;
}

/** One sample line of the metrics: name, labels, value. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export function parseMetrics(text: string): Sample[] {
  return text.split("\n").flatMap((line) => {
    const match = /^([a-z_:]\w*)(?:\{(.*)\})? (\S+)/i.exec(line);
    if (!match?.[1] || line.startsWith("#")) return [];
    const labels: Record<string, string> = {};
    for (const [, name, value] of (match[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g))
      if (name !== undefined && value !== undefined) labels[name] = value;
    return [{ name: match[1], labels, value: Number(match[3]) }];
  });
}

/** The sum over the samples of a series that `fits` accepts. */
export function sumOf(
  samples: readonly Sample[],
  name: string,
  fits: (labels: Readonly<Record<string, string>>) => boolean = () => true,
): number {
  return samples
    .filter((sample) => sample.name === name && fits(sample.labels))
    .reduce((sum, { value }) => sum + value, 0);
}

export interface Facts {
  readonly orders: OrderFacts;
  /** The same over the orders of the drill alone. */
  readonly drillOrders: OrderFacts;
  readonly captures: { readonly count: number; readonly distinctOrders: number };
  readonly oversold: number;
  readonly duplicateOrders: number;
}

/** What was there before this run: cells and processor may have served another one. */
export interface Earlier {
  /** Keys of the processor's movements. */
  readonly movements: ReadonlySet<string>;
  /** Each center's clock at the beginning, as its database writes it. */
  readonly since: ReadonlyMap<string, string>;
}

/** Notes what is in the books already. */
export async function readEarlier(world: World, centers: readonly string[]): Promise<Earlier> {
  const ledgers = await Promise.all(centers.map((center) => world.ledger(center)));
  const since = new Map<string, string>();
  for (const center of centers) {
    const [row] = await world.query<{ now: string }>(center, "SELECT now()::TEXT AS now");
    if (row) since.set(center, row.now);
  }
  return { movements: new Set(ledgers.flat().map(({ key }) => key)), since };
}

/** Orders of a center that have not come to an end. */
export async function countOpenOrders(world: World, center: string): Promise<number> {
  const [row] = await world.query<{ open: number }>(
    center,
    `SELECT count(*)::INT8 AS open FROM orders.orders
     WHERE state NOT IN ('delivered', 'cancelled', 'payment_failed', 'rejected')`,
  );
  return Number(row?.open ?? 0);
}

const DRILL_CUSTOMER = "drill-customer";

/** Reads everything back. `placed` counts orders that were taken: refused ones left no order behind. */
export async function readFacts(
  world: World,
  centers: readonly string[],
  earlier: Earlier,
  gatewayRejections: number,
): Promise<Facts> {
  const rows: OrderRow[] = [];
  let oversold = 0;
  const captures: LedgerEntry[] = [];
  for (const center of centers) {
    rows.push(
      ...(await world.query<OrderRow>(
        center,
        `SELECT id, sub, idempotency_key AS key, state FROM orders.orders WHERE created_at >= '${earlier.since.get(center) ?? "-infinity"}'`,
      )),
    );
    const [sold] = await world.query<{ units: number }>(
      center,
      "SELECT COALESCE(sum(GREATEST(0, allocated + damaged - on_hand)), 0)::INT8 AS units FROM inventory.balance",
    );
    oversold += Number(sold?.units ?? 0);
    captures.push(
      ...(await world.ledger(center)).filter(
        ({ key, kind, status }) => kind === "capture" && status === "done" && !earlier.movements.has(key),
      ),
    );
  }
  const taken = rows.filter(({ state }) => state !== "rejected");
  const keys = new Map<string, number>();
  for (const { sub, key } of taken) keys.set(`${sub} ${key}`, (keys.get(`${sub} ${key}`) ?? 0) + 1);
  const isDrill = ({ sub }: OrderRow) => sub.startsWith(DRILL_CUSTOMER);
  return {
    orders: count(
      rows.filter((row) => !isDrill(row)),
      gatewayRejections,
    ),
    drillOrders: count(rows.filter(isDrill), 0),
    captures: {
      count: captures.length,
      distinctOrders: new Set(captures.map((entry) => entry.authorizationKey)).size,
    },
    oversold,
    duplicateOrders: [...keys.values()].filter((times) => times > 1).length,
  };
}

function count(rows: readonly OrderRow[], refusedBefore: number): OrderFacts {
  const of = (...states: string[]) => rows.filter(({ state }) => states.includes(state)).length;
  const rejected = of("rejected");
  const ended = of("delivered", "cancelled", "payment_failed");
  return {
    placed: rows.length - rejected,
    delivered: of("delivered"),
    cancelled: of("cancelled"),
    paymentFailed: of("payment_failed"),
    rejected: rejected + refusedBefore,
    open: rows.length - rejected - ended,
  };
}
