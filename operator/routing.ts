import { canonicalJson } from "../platform/canonical.ts";
import { isDeleting, type KubeObject } from "../platform/kube/objects.ts";
import { SLICE_NAMES, SLICE_PORTS, type SliceName } from "../platform/slices.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import { cellNamespace } from "./api/names.ts";
import type { RoutedCell, RoutingTableSpec, Tombstone } from "./api/routing-table.ts";

/** One center and what routing to it needs. */
export interface RoutingInput {
  readonly name: string;
  /** Undefined when the spec cannot be read: the cell then stays in the table as it was. */
  readonly fc: FulfillmentCenter | undefined;
  /** The Services in the cell's namespace. */
  readonly services: readonly KubeObject[];
  /** The cell's public JWK as JSON text, once its Secret exists. */
  readonly publicKey: string | undefined;
}

const FULL_WEIGHT = 100;
const MAX_TOMBSTONES = 5000;

/**
 * The whole table of a region, or undefined when the present one already says the same: a version means a change.
 * It carries what is intended, never health. Names that leave become tombstones, so that a namesake gets a higher epoch.
 */
export function nextRoutingTable(
  inputs: readonly RoutingInput[],
  current: RoutingTableSpec | undefined,
): RoutingTableSpec | undefined {
  const before = new Map((current?.cells ?? []).map((cell) => [cell.name, cell]));
  const cells = inputs
    .map((input) => routedCell(input, before.get(input.name)))
    .filter((cell) => cell !== undefined)
    .sort((a, b) => compare(a.name, b.name));
  const tombstones = nextTombstones(cells, current);
  const same =
    current !== undefined &&
    canonicalJson(current.cells) === canonicalJson(cells) &&
    canonicalJson(current.tombstones) === canonicalJson(tombstones);
  return same ? undefined : { version: (current?.version ?? 0) + 1, cells, tombstones };
}

function routedCell(
  { fc, services, publicKey }: RoutingInput,
  before: RoutedCell | undefined,
): RoutedCell | undefined {
  if (fc === undefined) return before;
  const { spec, status } = fc;
  // A deletion that protection holds back is not carried out, in routing either.
  if (isDeleting(fc) && !spec.deletion.protection) return undefined;
  if (spec.paused) return before;
  const addresses = addressesOf(fc.metadata.name, services) ?? before?.services;
  const key = publicKey ?? before?.publicKey;
  if (status?.epoch === undefined || addresses === undefined || key === undefined) return before;
  return {
    name: fc.metadata.name,
    mode: spec.mode,
    weight: weightOf(fc),
    epoch: status.epoch,
    location: { latitude: spec.location.latitude, longitude: spec.location.longitude },
    coverage: {
      radiusMeters: spec.coverage.radiusMeters,
      serviceLevelMinutes: spec.coverage.serviceLevelMinutes,
    },
    services: addresses,
    publicKey: key,
  };
}

/**
 * Full once the cell has been available in this epoch. It is not taken back when pods fail: health is judged by each
 * gateway, which never removes the last cell; the operator would.
 */
function weightOf({ spec, status }: FulfillmentCenter): number {
  const admitted = status?.admittedEpoch !== undefined && status.admittedEpoch === status.epoch;
  return spec.mode === "Active" && admitted && status.lostNamespaceUid === undefined ? FULL_WEIGHT : 0;
}

function addressesOf(center: string, services: readonly KubeObject[]): RoutedCell["services"] | undefined {
  const addresses: Partial<Record<SliceName, { host: string; ip: string; port: number }>> = {};
  for (const slice of SLICE_NAMES) {
    const service = services.find(({ metadata }) => metadata.name === slice);
    const { clusterIP } = (service?.spec ?? {}) as { clusterIP?: string };
    if (clusterIP === undefined || clusterIP === "" || clusterIP === "None") return undefined;
    addresses[slice] = {
      host: `${slice}.${cellNamespace(center)}.svc`,
      ip: clusterIP,
      port: SLICE_PORTS[slice],
    };
  }
  return addresses;
}

function nextTombstones(cells: readonly RoutedCell[], current: RoutingTableSpec | undefined): Tombstone[] {
  const alive = new Set(cells.map(({ name }) => name));
  const epochs = new Map<string, number>();
  for (const { name, epoch } of [...(current?.tombstones ?? []), ...(current?.cells ?? [])])
    if (!alive.has(name)) epochs.set(name, Math.max(epoch, epochs.get(name) ?? 0));
  const all = [...epochs].map(([name, epoch]) => ({ name, epoch }));
  // Epochs follow the clock, so the lowest are also covered by the present time: they can be let go without harm.
  const kept = all.sort((a, b) => b.epoch - a.epoch).slice(0, MAX_TOMBSTONES);
  return kept.sort((a, b) => compare(a.name, b.name));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
