import type { TableCell } from "../domain.ts";

/** A cell in the middle of Seoul that reaches 5 km; any field may be given. */
export function cellNamed(name: string, fields: Partial<TableCell> = {}): TableCell {
  return {
    name,
    mode: "Active",
    weight: 100,
    epoch: 1,
    location: { latitude: 37.5, longitude: 127 },
    coverage: { radiusMeters: 5_000, serviceLevelMinutes: 60 },
    services: { orders: { host: `orders.cell-${name}`, port: 7002 } },
    publicKey: "{}",
    ...fields,
  };
}
