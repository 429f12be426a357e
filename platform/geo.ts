/** Degrees, WGS 84. */
export interface Coordinates {
  readonly latitude: number;
  readonly longitude: number;
}

/**
 * Coordinates as they may be kept in the open: to three decimals, which moves a place by 79 m at most (half of 111 m each way). Enough to choose who rides;
 * which door it is only an address tells.
 */
export function coarse({ latitude, longitude }: Coordinates): Coordinates {
  return { latitude: toThousandths(latitude), longitude: toThousandths(longitude) };
}

const toThousandths = (degrees: number) => Math.round(degrees * 1000) / 1000;

/** Mean radius of the earth (IUGG). */
const EARTH_RADIUS_METERS = 6_371_008.8;
const radians = (degrees: number) => (degrees * Math.PI) / 180;

/** Great-circle distance by the haversine formula; within 0.5 % of the ellipsoid's. */
export function distanceMeters(a: Coordinates, b: Coordinates): number {
  const dLatitude = radians(b.latitude - a.latitude);
  const dLongitude = radians(b.longitude - a.longitude);
  const h =
    Math.sin(dLatitude / 2) ** 2 +
    Math.cos(radians(a.latitude)) * Math.cos(radians(b.latitude)) * Math.sin(dLongitude / 2) ** 2;
  return 2 * EARTH_RADIUS_METERS * Math.asin(Math.min(1, Math.sqrt(h)));
}
