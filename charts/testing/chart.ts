import { join } from "node:path";
import { ensureBinaries } from "../../local/cluster/binaries.ts";
import { tryRun } from "../../local/cluster/command.ts";
import { silentReport } from "../../local/cluster/report.ts";
import type { KubeObject } from "../../platform/kube/objects.ts";
import { parseYaml } from "../../platform/yaml.ts";

export const CHART = join(import.meta.dirname, "..", "fulfillment-cells");
/** Values for one small machine. */
export const LOCAL_VALUES = join(CHART, "values-local.yaml");
export const RELEASE = "cells";

/** What an installation has to say, because the chart cannot know it. */
export const PRODUCTION: Readonly<Record<string, string>> = {
  "kafka.bootstrapServers": "kafka-0.kafka:9092,kafka-1.kafka:9093",
  "gateway.jwksUrl": "https://id.example.com/jwks.json",
  "payments.processorUrl": "https://psp.example.com",
};
/** What one small machine has to say. */
export const LOCAL: Readonly<Record<string, string>> = { "kafka.local.image": "registry.example/stores:1" };

export interface ChartOptions {
  readonly namespace?: string;
  readonly values?: Readonly<Record<string, string>>;
  /** Also read values-local.yaml. */
  readonly local?: boolean;
  readonly env?: NodeJS.ProcessEnv;
}

export interface HelmAnswer {
  readonly ok: boolean;
  readonly output: string;
}

/** Runs helm; what it prints on both streams is the answer. */
export async function helm(words: readonly string[], env?: NodeJS.ProcessEnv): Promise<HelmAnswer> {
  const { helm: program } = await ensureBinaries(silentReport());
  // A kubeconfig of this machine's user is no part of a test.
  const result = await tryRun([program, ...words], {
    env: { ...process.env, KUBECONFIG: "/dev/null", ...env },
  });
  return { ok: result.exitCode === 0, output: result.exitCode === 0 ? result.stdout : result.stderr };
}

/** The words of a helm command that say which values to use. */
export function valueWords({ values = {}, local = false }: ChartOptions): string[] {
  return [
    ...(local ? ["--values", LOCAL_VALUES] : []),
    ...Object.entries(values).flatMap(([name, value]) => [
      "--set",
      `${name}=${value.replaceAll(",", "\\,")}`,
    ]),
  ];
}

/** Every object that `helm template` renders, without the CRDs. Throws with helm's own sentence. */
export async function renderChart(options: ChartOptions = {}): Promise<KubeObject[]> {
  const namespace = options.namespace ?? "fulfillment-cells";
  const words = ["template", RELEASE, CHART, "--namespace", namespace, ...valueWords(options)];
  const { ok, output } = await helm(words);
  if (!ok) throw new Error(output);
  return parseYaml(output).filter((one) => one !== null) as KubeObject[];
}

/** One object out of many; throws when it is not there. */
export function pick(objects: readonly KubeObject[], kind: string, name: string): KubeObject {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
  if (found === undefined) throw new Error(`the chart renders no ${kind} ${name}`);
  return found;
}

/** The pods that workloads would make, as objects of their own in `namespace`. */
export function podsOf(objects: readonly KubeObject[], namespace: string): KubeObject[] {
  return objects
    .filter(({ kind }) => ["Deployment", "StatefulSet", "Job"].includes(kind))
    .map((workload) => {
      const { template, volumeClaimTemplates = [] } = workload.spec as WorkloadSpec;
      const claimed = volumeClaimTemplates.map(({ metadata: { name } }) => ({
        name,
        persistentVolumeClaim: { claimName: `${name}-${workload.metadata.name}-0` },
      }));
      return {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: workload.metadata.name, namespace, ...(template.metadata as object) },
        spec: { ...template.spec, volumes: [...(template.spec.volumes ?? []), ...claimed] },
      };
    });
}

interface WorkloadSpec {
  template: { metadata: unknown; spec: { volumes?: unknown[] } & Record<string, unknown> };
  volumeClaimTemplates?: { metadata: { name: string } }[];
}
