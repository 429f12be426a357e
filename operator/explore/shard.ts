import type { KubeObject } from "../../platform/kube/objects.ts";
import { LABELS } from "../api/names.ts";
import { environmentOf, podStatus } from "../testing/podstatus.ts";

/** What the Jobs of a cell have left in its database. */
interface Shard {
  readonly leaseEpoch: number;
}

/** The databases of all cells, by the uid of the namespace that holds them, and the nodes that run their pods. */
export interface Shards {
  statusOf(pod: KubeObject): Record<string, unknown>;
  /** What is wrong with starting this pod now, when something is. */
  objectionTo(pod: KubeObject): string | undefined;
  leaseEpoch(namespaceUid: string): number | undefined;
  snapshot(): ReadonlyMap<string, Shard>;
}

export function createShards(options: {
  readonly nowMs: () => number;
  readonly from?: ReadonlyMap<string, Shard>;
  /** Uid of a namespace; undefined when there is none of this name. */
  readonly uidOf: (namespace: string) => string | undefined;
}): Shards {
  const shards = new Map(options.from);
  return {
    statusOf: (pod) =>
      podStatus(pod, options.nowMs(), ({ purpose, epoch }) => {
        const uid = options.uidOf(pod.metadata.namespace ?? "") ?? "";
        if (purpose === "remove") return { ok: true };
        const leaseEpoch = Math.max(epoch, shards.get(uid)?.leaseEpoch ?? 0);
        shards.set(uid, { leaseEpoch });
        return { ok: true, epoch: leaseEpoch, schema: "explore" };
      }),
    objectionTo(pod) {
      const isSlice = Object.keys(pod.metadata.labels ?? {}).some((label) =>
        label.startsWith(LABELS.slice("")),
      );
      if (!isSlice) return undefined;
      const epoch = Number(environmentOf(pod).CELL_EPOCH);
      const shard = shards.get(options.uidOf(pod.metadata.namespace ?? "") ?? "");
      if (shard === undefined) return `pod ${pod.metadata.name} of a slice starts before the schema is there`;
      return shard.leaseEpoch < epoch
        ? `pod ${pod.metadata.name} writes with epoch ${epoch} before the lease row has it`
        : undefined;
    },
    leaseEpoch: (uid) => shards.get(uid)?.leaseEpoch,
    snapshot: () => new Map(shards),
  };
}
