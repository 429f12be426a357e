import { readFile } from "node:fs/promises";
import type { Clock } from "../../platform/clock.ts";

const FRESH_MS = 1_000;
const MIN_LENGTH = 16;
const MAX_SECRETS = 4;

/** Reads secrets, at most once a second, so that a new one counts without a restart. A file that is not there holds none. */
export function createSecretReader(file: string, clock: Clock): () => Promise<readonly string[]> {
  let reading: Promise<readonly string[]> = Promise.resolve([]);
  let readAtMs = Number.NEGATIVE_INFINITY;
  return () => {
    if (clock.nowMs() - readAtMs >= FRESH_MS) {
      readAtMs = clock.nowMs();
      reading = read(file);
    }
    return reading;
  };
}

async function read(file: string): Promise<readonly string[]> {
  try {
    const lines = (await readFile(file, "utf8")).split("\n").map((line) => line.trim());
    return lines.filter((line) => line.length >= MIN_LENGTH).slice(0, MAX_SECRETS);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
