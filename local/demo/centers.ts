import { join } from "node:path";
import { pause } from "./api.ts";
import { countOpenOrders, type World } from "./facts.ts";
import { getObject, type InstallImages, kubectl, type Target } from "./install.ts";
import type { Center } from "./load.ts";

/** What the demo reads of a FulfillmentCenter. */
export interface CenterObject {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly topology: string;
    readonly location: { readonly latitude: string; readonly longitude: string };
    readonly coverage: { readonly radiusMeters: number };
  };
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly message: string;
    }[];
  };
}

/** What the demo reads of a Deployment or StatefulSet. */
export interface Workload {
  readonly metadata: { readonly generation: number };
  readonly spec: {
    readonly replicas: number;
    readonly template: { readonly spec: { readonly containers: readonly { readonly image: string }[] } };
  };
  readonly status: {
    readonly observedGeneration?: number;
    readonly replicas?: number;
    readonly updatedReplicas?: number;
    readonly readyReplicas?: number;
  };
}

export interface ApplyOptions {
  readonly target: Target;
  readonly names: readonly string[];
  readonly images: InstallImages;
  readonly world: World;
  readonly timeoutMs: number;
  note(text: string): void;
}

export interface AppliedCenters {
  readonly centers: Center[];
  /** From the first apply to Ready, in the order of the names. */
  readonly readySeconds: number[];
}

const POLL_MS = 1_000;

export const readyOf = ({ status }: CenterObject) => status?.conditions?.find(({ type }) => type === "Ready");
export const isReady = (center: CenterObject) => readyOf(center)?.status === "True";

/** True when every pod that is wished for runs the newest template. */
export function isRunning({ metadata, spec, status }: Workload): boolean {
  return (
    spec.replicas > 0 &&
    status.observedGeneration === metadata.generation &&
    status.replicas === spec.replicas &&
    status.updatedReplicas === spec.replicas &&
    status.readyReplicas === spec.replicas
  );
}

/**
 * Applies the examples and waits until each center is Ready with these images. Centers that are there already are used again, unless
 * orders of an earlier run are still open in them: that run was cut off, and its people are gone.
 */
export async function applyCenters(options: ApplyOptions): Promise<AppliedCenters> {
  const applied = await apply(options);
  const { world, names, note, target } = options;
  const open = await Promise.all(names.map((name) => countOpenOrders(world, name)));
  const cutOff = names.filter((_name, index) => (open[index] ?? 0) > 0);
  if (cutOff.length === 0) return applied;
  note(`an earlier run was cut off: ${cutOff.join(" and ")} made anew`);
  await kubectl(target, ["delete", "fc", ...cutOff, "--timeout=120s"]);
  return apply(options);
}

async function apply({ target, names, images, timeoutMs, note }: ApplyOptions): Promise<AppliedCenters> {
  const startedMs = Date.now();
  const files = names.flatMap((name) => ["-f", join(target.root, "examples", `${name}.yaml`)]);
  await kubectl(target, ["apply", ...files]);
  const readyAtMs = new Map<string, number>();
  const centers = new Map<string, Center>();
  const said = new Map<string, string>();
  for (;;) {
    const { items } = await getObject<{ items: CenterObject[] }>(target, ["fc", ...names]);
    for (const object of items) {
      const { name } = object.metadata;
      centers.set(name, centerOf(object));
      const message = readyOf(object)?.message;
      if (isReady(object)) {
        if (!readyAtMs.has(name) && (await runsImages(target, name, images))) readyAtMs.set(name, Date.now());
      } else if (message !== undefined && said.get(name) !== message) {
        said.set(name, message);
        note(`${name}: ${message}`);
      }
    }
    if (readyAtMs.size === names.length) break;
    if (Date.now() - startedMs > timeoutMs)
      throw new Error(
        `not every center is Ready after ${timeoutMs / 1000} s; look at: npx node local/main.ts kubectl get fc -o wide`,
      );
    await pause(POLL_MS);
  }
  const seconds = (name: string) => Math.round(((readyAtMs.get(name) ?? startedMs) - startedMs) / 100) / 10;
  return { centers: names.map((name) => centers.get(name) as Center), readySeconds: names.map(seconds) };
}

/** A center that was Ready before the chart was upgraded is not yet one that runs what is shown. */
async function runsImages(target: Target, name: string, images: InstallImages): Promise<boolean> {
  const scope = ["deployments,statefulsets", "-n", `cell-${name}`];
  const { items } = await getObject<{ items: Workload[] }>(target, scope);
  const known = new Set([images.cell, images.stores]);
  return items.every(
    (workload) =>
      isRunning(workload) && workload.spec.template.spec.containers.every(({ image }) => known.has(image)),
  );
}

/** Where a center is and how far it delivers. */
export function centerOf({ metadata, spec }: CenterObject): Center {
  return {
    name: metadata.name,
    latitude: Number(spec.location.latitude),
    longitude: Number(spec.location.longitude),
    radiusMeters: spec.coverage.radiusMeters,
    topology: spec.topology,
  };
}
