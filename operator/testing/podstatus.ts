import { formatTime, type KubeObject } from "../../platform/kube/objects.ts";

/** What a Job's container was told to do. */
export interface JobCommand {
  /** The second word of its command: provision, fence or remove. */
  readonly purpose: string;
  /** The number that it was given to write. */
  readonly epoch: number;
}

/** Last words of an isolation probe that found everything shut. */
export const DENIED = { isolation: "Denied", denied: 2, cells: 0, reached: [], unclear: [] };

interface PodSpec {
  containers: { name: string; args?: string[]; env?: { name: string; value?: string }[] }[];
}

/** What a Job's pod is for; undefined for other pods. */
export function purposeOf(pod: KubeObject): string | undefined {
  if (pod.metadata.ownerReferences?.some(({ kind }) => kind === "Job") !== true) return undefined;
  const { args = [] } = (pod.spec as PodSpec).containers[0] ?? {};
  return args.includes("--remove") ? "remove" : (args[1] ?? "");
}

/** Status of a pod on a node where everything starts at once: it serves, or it is a Job's and has ended as `run` says. */
export function podStatus(
  pod: KubeObject,
  nowMs: number,
  run: (command: JobCommand) => Record<string, unknown> & { readonly ok?: boolean },
): Record<string, unknown> {
  const spec = pod.spec as PodSpec;
  const nowText = formatTime(nowMs);
  const purpose = purposeOf(pod);
  const [container] = spec.containers;
  if (container === undefined) throw new Error("a pod has a container");
  const common = { name: container.name, restartCount: 0, image: "x", imageID: "x" };
  if (purpose === undefined) {
    return {
      phase: "Running",
      startTime: nowText,
      conditions: ["Initialized", "ContainersReady", "Ready", "PodScheduled"].map((type) => ({
        type,
        status: "True",
        lastTransitionTime: nowText,
      })),
      containerStatuses: [
        { ...common, ready: true, started: true, state: { running: { startedAt: nowText } } },
      ],
    };
  }
  const args = container.args ?? [];
  const epoch = Number(args[2] === "--epoch" ? args[3] : environmentOf(pod).CELL_EPOCH);
  const answer: Record<string, unknown> = purpose === "probe-isolation" ? DENIED : run({ purpose, epoch });
  const ok = answer.ok !== false;
  const terminated = {
    exitCode: ok ? 0 : 1,
    message: JSON.stringify(answer),
    startedAt: nowText,
    finishedAt: nowText,
  };
  return {
    phase: ok ? "Succeeded" : "Failed",
    startTime: nowText,
    containerStatuses: [{ ...common, ready: false, state: { terminated } }],
  };
}

/** Plain variables of a pod's first container. */
export function environmentOf(pod: KubeObject): Record<string, string | undefined> {
  const { env = [] } = (pod.spec as PodSpec).containers[0] ?? {};
  return Object.fromEntries(env.map(({ name, value }) => [name, value]));
}
