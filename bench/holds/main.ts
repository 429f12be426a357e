import { createLot } from "../../platform/testing/lot.ts";
import { serveParent } from "../load/child.ts";
import { closedLoop, openLoop } from "../load/drive.ts";
import { zipf } from "../load/random.ts";
import { openStoreCpu } from "../load/storecpu.ts";
import type { HoldContender, HoldStores } from "./contender.ts";
import { openDurable, openVolatile } from "./ours.ts";

/** What is asked for: one SKU that everybody wants, or many of which few are wanted much. */
export interface Mix {
  readonly skus: number;
  /** Of Zipf's law; unused for one SKU. */
  readonly exponent: number;
  readonly unitsEach: number;
}

/** What a call cost, which what else the machine does changes less than how long it took. */
export interface Cost {
  /** Of the contender's process, and of PostgreSQL and Redis together. */
  readonly clientCpuMicros: number;
  readonly storeCpuMicros: number;
}

const SEED = 20_261_121;
const PROBE_UNITS = 100;
const PROBE_CALLERS = 64;
const PROBE_TRIES = 512;

/** The peers are plain JavaScript with packages of their own, so they are loaded by name. */
async function open(name: string, stores: HoldStores): Promise<HoldContender> {
  if (name === "ours") return openVolatile(stores);
  if (name === "ours-durable") return openDurable(stores);
  const file = name.startsWith("pg-") ? "postgres" : name;
  const peer = (await import(new URL(`../peers/${file}.mjs`, import.meta.url).href)) as {
    open(options: HoldStores & { name: string }): Promise<HoldContender>;
  };
  return peer.open({ ...stores, name });
}

/** Which SKU each call wants; the same order in every contender. */
function wishes({ skus, exponent }: Mix, seed: number): () => number {
  return skus === 1 ? () => 0 : zipf(skus, exponent, createLot(seed));
}

async function main(name: string, stores: HoldStores): Promise<void> {
  const contender = await open(name, stores);
  const storeCpu = openStoreCpu(stores);

  /** Fills, measures, and looks whether the books show what the callers were told; then leaves nothing behind. */
  async function proven<T extends { accepted: number }>(
    mix: Mix,
    measure: () => Promise<T>,
  ): Promise<T & Cost> {
    await contender.fill(mix.skus, mix.unitsEach);
    const storesBefore = await storeCpu.seconds();
    const before = process.cpuUsage();
    const measured = await measure();
    const { user, system } = process.cpuUsage(before);
    const storeMicros = ((await storeCpu.seconds()) - storesBefore) * 1e6;
    const taken = await contender.taken();
    if (taken !== measured.accepted)
      throw new Error(`callers were told of ${measured.accepted} units, the books have ${taken}`);
    await contender.fill(1, 1);
    return {
      ...measured,
      clientCpuMicros: (user + system) / measured.accepted,
      storeCpuMicros: storeMicros / measured.accepted,
    };
  }

  serveParent(
    {
      about: () => Promise.resolve(contender.about),
      /** More callers than units: exactly what is there may be taken. */
      async probe() {
        let tries = 0;
        let accepted = 0;
        await contender.fill(1, PROBE_UNITS);
        const caller = async () => {
          while (tries++ < PROBE_TRIES) if (await contender.take(0)) accepted++;
        };
        await Promise.all(Array.from({ length: PROBE_CALLERS }, caller));
        const taken = await contender.taken();
        if (accepted !== PROBE_UNITS || taken !== PROBE_UNITS)
          throw new Error(
            `of ${PROBE_UNITS} units ${accepted} were promised and ${taken} are taken: no figure is worth that`,
          );
        await contender.fill(1, 1);
      },
      peak(mix: Mix, round: number, options: Parameters<typeof closedLoop>[1]) {
        const wish = wishes(mix, SEED + round);
        return proven(mix, () => closedLoop(() => contender.take(wish()), options));
      },
      steady(mix: Mix, round: number, options: { perSecond: number; durationMs: number }) {
        const seed = SEED + round;
        const wish = wishes(mix, seed);
        return proven(mix, () => openLoop(() => contender.take(wish()), { ...options, seed }));
      },
    },
    async () => {
      await contender.close();
      await storeCpu.close();
    },
  );
}

await main(process.argv[2] ?? "", JSON.parse(process.env.BENCH_STORES ?? "{}") as HoldStores);
