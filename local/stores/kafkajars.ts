import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import { tryRun } from "../cluster/command.ts";
import { ClusterError } from "../cluster/errors.ts";
import type { Report } from "../cluster/report.ts";
import { cacheDir } from "../setup/paths.ts";

/** The broker's program, as Maven resolves it. */
export interface KafkaProgram {
  /** Folder with the jars and `log4j2.properties`. */
  readonly dir: string;
  /** Changes when any jar may change. */
  readonly hash: string;
}

const POM = join(import.meta.dirname, "kafka-pom.xml");
const LOGGING = join(import.meta.dirname, "kafka-log4j2.properties");
const DOWNLOAD_BOUND_MS = 600_000;

/** Fetches the jars named by `kafka-pom.xml` once per machine; later calls only look into the cache. */
export async function ensureKafka(report: Report): Promise<KafkaProgram> {
  const inputs = [readFileSync(POM), readFileSync(LOGGING)];
  const hash = createHash("sha256").update(Buffer.concat(inputs)).digest("hex").slice(0, 16);
  const folder = join(cacheDir(), "kafka");
  const dir = join(folder, hash);
  if (existsSync(dir)) return { dir, hash };
  mkdirSync(folder, { recursive: true });
  await report.step("Fetch Apache Kafka", "45 jars, 43 MB, once per machine: about 15 s", async () => {
    forgetDead(folder);
    const partial = mkdtempSync(join(folder, "partial-"));
    try {
      await download(partial);
      copyFileSync(LOGGING, join(partial, "log4j2.properties"));
      keepFirst(partial, dir);
    } finally {
      rmSync(partial, { recursive: true, force: true });
    }
  });
  return { dir, hash };
}

async function download(dir: string): Promise<void> {
  const goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", `-DoutputDirectory=${dir}`];
  const result = await tryRun(["mvn", "-q", "-B", "-f", POM, ...goal], { timeoutMs: DOWNLOAD_BOUND_MS });
  if (result.exitCode === 0 && readdirSync(dir).some((name) => name.startsWith("kafka_"))) return;
  const cause =
    `${result.stdout}\n${result.stderr}`.split("\n").find((line) => line.includes("ERROR")) ??
    "no reason given";
  throw new ClusterError(
    "build-failed",
    `Maven could not fetch Apache Kafka: ${cause.trim()}. Check that this machine reaches its Maven repository, then run again.`,
  );
}

/** Two runs may fetch at once: the one that is first wins, both have the same content. */
function keepFirst(partial: string, dir: string): void {
  try {
    renameSync(partial, dir);
  } catch (error) {
    if (!existsSync(dir)) throw error;
  }
}

/** Removes what a killed run left, once no download can still be writing to it. */
function forgetDead(folder: string): void {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const ageMs = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (name.startsWith("partial-") && ageMs > 2 * DOWNLOAD_BOUND_MS)
      rmSync(path, { recursive: true, force: true });
  }
}
