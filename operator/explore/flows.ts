import { findCondition, type KubeObject } from "../../platform/kube/objects.ts";
import type { FulfillmentCenter, FulfillmentCenterInput } from "../api/fulfillment-center.ts";
import { specSchema } from "../api/fulfillment-center.ts";
import type { RoutedCell, RoutingTable } from "../api/routing-table.ts";
import { newCenter } from "../testing/center.ts";

/** What is known of one center from outside. */
export interface View {
  readonly fc: FulfillmentCenter | undefined;
  /** Its entry in the routing table. */
  readonly cell: RoutedCell | undefined;
  readonly table: RoutingTable | undefined;
}

/** Something that a person does to a center, and how it shows that it is done. */
export interface Step {
  /** A new center, a change of its spec (JSON merge patch), or its deletion. */
  readonly act:
    | { readonly kind: "create"; readonly spec: Partial<FulfillmentCenterInput> }
    | { readonly kind: "patch"; readonly spec: Record<string, unknown> }
    | { readonly kind: "delete" };
  readonly isDone: (view: View) => boolean;
}

export interface Flow {
  readonly name: FlowName;
  /** Spec of the center that the flow begins with; absent for one that makes it. */
  readonly from?: Partial<FulfillmentCenterInput>;
  readonly steps: readonly Step[];
  /** What is left of the cell at the end. */
  readonly ends: "stays" | "retained" | "gone";
}

export const FLOW_NAMES = ["create", "update", "drain", "fence", "delete", "retain", "remake"] as const;
export type FlowName = (typeof FLOW_NAMES)[number];

const DELETE = { deletion: { policy: "Delete" as const } };

export const isReady = ({ fc, cell }: View): boolean => settled(fc, "Ready") && cell?.weight === 100;

const isGone = ({ fc, table, cell }: View): boolean =>
  fc === undefined && cell === undefined && (table?.spec.tombstones.length ?? 0) > 0;

/** Ready with this reason, for the spec as it is now. */
function settled(fc: FulfillmentCenter | undefined, reason: string): boolean {
  const ready = findCondition(fc?.status?.conditions, "Ready");
  return (
    ready?.status === "True" &&
    ready.reason === reason &&
    ready.observedGeneration === fc?.metadata.generation
  );
}

export const FLOWS: Readonly<Record<FlowName, Flow>> = {
  create: {
    name: "create",
    steps: [{ act: { kind: "create", spec: DELETE }, isDone: isReady }],
    ends: "stays",
  },
  update: {
    name: "update",
    from: DELETE,
    steps: [
      {
        act: {
          kind: "patch",
          spec: {
            release: { image: "registry.example/cell:2" },
            database: { storage: "2Gi" },
            topology: "Separate",
          },
        },
        isDone: (view) => isReady(view) && view.fc?.status?.release?.current === "registry.example/cell:2",
      },
    ],
    ends: "stays",
  },
  drain: {
    name: "drain",
    from: DELETE,
    steps: [
      {
        act: { kind: "patch", spec: { mode: "Draining" } },
        isDone: ({ fc, cell }) => settled(fc, "Ready") && cell?.mode === "Draining" && cell.weight === 0,
      },
      { act: { kind: "patch", spec: { mode: "Active" } }, isDone: isReady },
    ],
    ends: "stays",
  },
  fence: {
    name: "fence",
    from: DELETE,
    steps: [
      {
        act: { kind: "patch", spec: { mode: "Fenced" } },
        isDone: ({ fc, cell }) => settled(fc, "Fenced") && cell?.mode === "Fenced",
      },
      {
        act: { kind: "patch", spec: { mode: "Active" } },
        isDone: (view) => isReady(view) && view.cell?.epoch === view.fc?.status?.epoch,
      },
    ],
    ends: "stays",
  },
  delete: {
    name: "delete",
    from: DELETE,
    steps: [{ act: { kind: "delete" }, isDone: isGone }],
    ends: "gone",
  },
  remake: {
    name: "remake",
    from: DELETE,
    steps: [
      { act: { kind: "delete" }, isDone: isGone },
      {
        act: { kind: "create", spec: DELETE },
        isDone: (view) => isReady(view) && view.cell?.epoch === view.fc?.status?.epoch,
      },
    ],
    ends: "gone",
  },
  retain: {
    name: "retain",
    from: { deletion: { policy: "Retain" } },
    steps: [{ act: { kind: "delete" }, isDone: isGone }],
    ends: "retained",
  },
};

/** A center as its user creates it, with the defaults that an API server fills in. */
export function defaultedCenter(
  name: string,
  region: string,
  spec: Partial<FulfillmentCenterInput>,
): KubeObject {
  const written = newCenter(name, region, { deletion: {}, ...spec });
  return { ...written, spec: specSchema.parse(written.spec) };
}
