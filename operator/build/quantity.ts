const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};
const MEBI = 2 ** 20;

/** Bytes of a memory or storage quantity such as "64Mi"; throws on text that is none. */
export function parseBytes(text: string): number {
  const match = /^(\d+)([kMGT]|[KMGT]i)?$/.exec(text);
  const unit = UNITS[match?.[2] ?? ""];
  if (match === null || unit === undefined)
    throw new Error(`"${text}" is no amount of bytes, for example 64Mi`);
  return Number(match[1]) * unit;
}

/** Millicores of a cpu quantity: "50m" -> 50, "2" -> 2000. */
export function parseMillicores(text: string): number {
  const match = /^(\d+)(m)?$/.exec(text);
  if (match === null) throw new Error(`"${text}" is no amount of cpu, for example 50m or 2`);
  return Number(match[1]) * (match[2] === "m" ? 1 : 1000);
}

/** Bytes as whole Mi, rounded up. */
export function formatBytes(bytes: number): string {
  return `${Math.ceil(bytes / MEBI)}Mi`;
}

export function formatMillicores(millicores: number): string {
  return `${Math.ceil(millicores)}m`;
}
