import { type Coordinates, distanceMeters } from "../../platform/geo.ts";

/** Roads are longer than the straight line by about this much in a city. */
const DETOUR = 1.3;
/** 18 km/h, a cautious average for two-wheelers. */
const METERS_PER_SECOND = 5;
/** From the kerb to the door. */
const HANDOVER_SECONDS = 120;
/** A device clock may run ahead by this much; more is cut, so that one wrong clock does not freeze a position. */
const MAX_FUTURE_MS = 5_000;

/** Seconds until the parcel is handed over. */
export function etaSeconds(from: Coordinates, to: Coordinates): number {
  return Math.round((distanceMeters(from, to) * DETOUR) / METERS_PER_SECOND + HANDOVER_SECONDS);
}

/** The time of a fix as we use it: the device's, unless it lies in the future. */
export function fixTimeMs(deviceTimeMs: number, nowMs: number): number {
  return Math.min(deviceTimeMs, nowMs + MAX_FUTURE_MS);
}

export interface LastFix extends Coordinates {
  readonly seq: number;
  readonly atMs: number;
}

/** Whether a fix replaces the last one: newer by count and not older by clock. Late points are history, never "latest". */
export function replaces(last: LastFix | undefined, next: LastFix): boolean {
  return last === undefined || (next.seq > last.seq && next.atMs >= last.atMs);
}
