import { findCondition } from "../../platform/kube/objects.ts";
import type { World } from "./world.ts";

/** Kind and name of each object, without the hashes in names. */
export const identities = (objects: readonly { kind: string; metadata: { name: string } }[]) =>
  objects.map(({ kind, metadata }) => `${kind}/${metadata.name.replace(/-[0-9a-f]{10}$/, "-<hash>")}`);

/** Status and reason of one condition of the center. */
export const verdict = (world: World, type: string) => {
  const condition = findCondition(world.fc.status?.conditions, type);
  return condition === undefined ? undefined : `${condition.status} ${condition.reason}`;
};

/** Phase and every condition of the center. */
export const summary = (world: World) => ({
  phase: world.fc.status?.phase,
  conditions: Object.fromEntries(
    (world.fc.status?.conditions ?? []).map(({ type }) => [type, verdict(world, type)]),
  ),
});
