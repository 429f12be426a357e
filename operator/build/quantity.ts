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

/**
 * Bytes as a quantity in the form in which the API server stores it: the largest of Mi, Gi and Ti that leaves no
 * fraction, rounded up to whole Mi. Another form of the same amount would look like a change for ever.
 */
export function formatBytes(bytes: number): string {
  const mebis = Math.ceil(bytes / MEBI);
  if (mebis % 2 ** 20 === 0 && mebis > 0) return `${mebis / 2 ** 20}Ti`;
  return mebis % 1024 === 0 && mebis > 0 ? `${mebis / 1024}Gi` : `${mebis}Mi`;
}

/** Millicores as the API server stores them: whole cores without a suffix. */
export function formatMillicores(millicores: number): string {
  const whole = Math.ceil(millicores);
  return whole % 1000 === 0 ? String(whole / 1000) : `${whole}m`;
}
