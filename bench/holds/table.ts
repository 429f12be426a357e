import { type Measured, type Row, toRow } from "../load/rows.ts";
import type { MixName, Turn } from "./bench.ts";
import type { HoldContenderName } from "./contender.ts";

/** The figures that are compared, with the goals of bench/README.md. */
interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly better: Measured["better"];
  pick(turn: Turn): number;
}

const FIGURES: readonly Figure[] = [
  { name: "throughput", unit: "1/s", better: "more", pick: ({ peak }) => peak.perSecond },
  { name: "client_cpu_us", unit: "us", better: "less", pick: ({ peak }) => peak.clientCpuMicros },
  { name: "store_cpu_us", unit: "us", better: "less", pick: ({ peak }) => peak.storeCpuMicros },
  { name: "p50_ms", unit: "ms", better: "less", pick: ({ at80 }) => at80.p50Ms },
  { name: "p95_ms", unit: "ms", better: "less", pick: ({ at80 }) => at80.p95Ms },
  { name: "p99_ms", unit: "ms", better: "less", pick: ({ at80 }) => at80.p99Ms },
  { name: "half_load_p50_ms", unit: "ms", better: "less", pick: ({ at50 }) => at50.p50Ms },
  { name: "half_load_p95_ms", unit: "ms", better: "less", pick: ({ at50 }) => at50.p95Ms },
  { name: "half_load_p99_ms", unit: "ms", better: "less", pick: ({ at50 }) => at50.p99Ms },
];

/** What is asked of a figure of ours, and of its ratio to a peer. */
const GOALS: Readonly<Record<string, (ours: number, ratio: number | null) => boolean>> = {
  "holds.hot.throughput naive-lua": (_ours, ratio) => ratio !== null && ratio >= 2,
  "holds.durable.throughput pg-update": (_ours, ratio) => ratio !== null && ratio >= 5,
  "holds.durable.throughput medusa": (_ours, ratio) => ratio !== null && ratio >= 100,
  "holds.hot.p95_ms": (ours) => ours <= 18,
  "holds.hot.p99_ms": (ours) => ours <= 27,
};

/** `holds.hot.…` and `holds.zipf.…` for holds alone, `holds.durable.…` and `holds.durable.zipf.…` for what is committed. */
function metricOf(path: HoldContenderName["path"], mix: MixName, figure: string): string {
  if (path === "volatile") return `holds.${mix}.${figure}`;
  return mix === "hot" ? `holds.durable.${figure}` : `holds.durable.${mix}.${figure}`;
}

/** One row for each figure of ours and each peer that ends in the same state. */
export function toRows(turns: readonly Turn[], names: readonly HoldContenderName[]): Row[] {
  const rows: Row[] = [];
  const mixes = [...new Set(turns.map(({ mix }) => mix))];
  for (const ours of names.filter(({ isOurs }) => isOurs))
    for (const mix of mixes)
      for (const figure of FIGURES) {
        const samples = (name: string) =>
          turns.filter((turn) => turn.contender === name && turn.mix === mix).map(figure.pick);
        const metric = metricOf(ours.path, mix, figure.name);
        const row = (peer: string | null) => {
          const goal = GOALS[`${metric} ${peer}`] ?? GOALS[metric];
          const { unit, better } = figure;
          const measured = { metric, unit, better, ours: samples(ours.name), ...(goal ? { goal } : {}) };
          return toRow(measured, peer === null ? null : { name: peer, samples: samples(peer) });
        };
        const peers = names.filter(({ path, isOurs }) => path === ours.path && !isOurs);
        rows.push(...(peers.length === 0 ? [row(null)] : peers.map(({ name }) => row(name))));
      }
  return rows;
}
