import type { KubeObject } from "../../platform/kube/objects.ts";
import { type Cell, cellImage, metadata } from "./cell.ts";
import { provisionEnvironment } from "./environment.ts";
import { hashOf } from "./hash.ts";
import { perCell } from "./percell.ts";
import { buildPodTemplate, type EnvVar } from "./pod.ts";

/** How long a deletion waits for Kafka before it goes on and names what is left there. */
export const REMOVAL_BOUND_SECONDS = 600;
const RESOURCES = { requests: { cpu: "50m", memory: "96Mi" }, limits: { memory: "256Mi" } };

/**
 * The Job that makes roles, schema, lease row and topics. A Job's template cannot change, so everything that
 * matters is hashed into its name: another image, epoch or topic setting is another Job.
 */
export const buildProvisionJob = perCell<KubeObject>((cell) =>
  job(cell, "provision", ["provision"], provisionEnvironment(cell)),
);

/** Shuts every writer with an older epoch out of the shard. */
export function buildFenceJob(cell: Cell, fencedEpoch: number): KubeObject {
  return job(cell, "fence", ["fence", "--epoch", String(fencedEpoch)], provisionEnvironment(cell));
}

/** Takes the credentials from before the present generation out of force. */
export const buildRetireJob = perCell<KubeObject>((cell) =>
  job(cell, "retire", ["retire"], provisionEnvironment(cell)),
);

/** Removes the cell's topics; the last thing that runs in a cell that is deleted. */
export function buildRemoveJob(cell: Cell): KubeObject {
  return job(cell, "remove", ["provision", "--remove"], provisionEnvironment(cell), {
    backoffLimit: 20,
    activeDeadlineSeconds: REMOVAL_BOUND_SECONDS,
  });
}

/** Hash of what the provision Job is made from: the part of its name after "provision-". */
export function provisionHash(provisionJob: KubeObject): string {
  return provisionJob.metadata.name.slice("provision-".length);
}

function job(
  cell: Cell,
  purpose: string,
  command: readonly string[],
  env: readonly EnvVar[],
  bounds = { backoffLimit: 3, activeDeadlineSeconds: 600 },
): KubeObject {
  const spec = {
    ...bounds,
    template: buildPodTemplate(cell, {
      // One policy lets all Jobs reach the database and Kafka.
      component: "provision",
      serviceAccount: "provision",
      restartPolicy: "Never",
      container: {
        name: purpose,
        image: cellImage(cell),
        args: ["cell/main.ts", ...command],
        env,
        resources: RESOURCES,
      },
    }),
  };
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: metadata(cell, `${purpose}-${hashOf(spec)}`, "provision"),
    spec,
  };
}
