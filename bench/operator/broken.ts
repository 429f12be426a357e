import type { KubeClient } from "../../platform/kube/client.ts";
import { KINDS } from "../../platform/kube/kinds.ts";
import type { KubeObject, ResourceRef } from "../../platform/kube/objects.ts";
import { centerNames, type Watcher } from "./centers.ts";
import { NAMESPACE, SETTINGS } from "./contender.ts";
import { must, until } from "./must.ts";
import { type Quantiles, quantiles } from "./quantiles.ts";

/** kwok leaves pods of this image pending; see stages.yaml. */
const NEVER_STARTS = "registry.example/never-starts:1";
const REFUSED = "refused-0000";
const STUCK = "stuck-0000";

/** Seconds from creation to Ready of a batch of healthy centers, without and with two broken ones beside it. */
export interface Neighbours {
  readonly alone: Quantiles;
  readonly besideBroken: Quantiles;
}

/**
 * Two ways to be broken: every Service of one center is refused by the API server, and the pods of another never start.
 * Neither may become Ready, and a batch of healthy ones made meanwhile must not notice.
 */
export async function measureNeighbours(options: {
  readonly client: KubeClient;
  readonly watcher: Watcher;
  readonly batch: number;
  readonly stallMs: number;
  readonly signal: AbortSignal;
}): Promise<Neighbours> {
  const { client, watcher, batch, signal } = options;
  const alone = await timeBatch("alone", options);
  await refuseServices(client, `cell-${REFUSED}`, signal);
  await watcher.create([REFUSED], SETTINGS.images.cell);
  await watcher.create([STUCK], NEVER_STARTS);
  const besideBroken = await timeBatch("beside", { ...options, batch });
  for (const name of [REFUSED, STUCK])
    if (watcher.readyMs.has(name))
      throw new Error(`${name} is Ready although it is broken: the comparison says nothing.`);
  return { alone, besideBroken };
}

async function timeBatch(
  prefix: string,
  options: {
    readonly watcher: Watcher;
    readonly batch: number;
    readonly stallMs: number;
    readonly signal: AbortSignal;
  },
): Promise<Quantiles> {
  const { watcher } = options;
  const names = centerNames(prefix, options.batch);
  await watcher.create(names, SETTINGS.images.cell);
  await watcher.waitReady(names, options);
  return quantiles(names.map((name) => (watcher.readyMs.get(name)! - watcher.createdMs.get(name)!) / 1000));
}

/** An admission policy that lets no Service into one namespace, nor into the bench's own, where it is seen to be in force. */
async function refuseServices(client: KubeClient, namespace: string, signal: AbortSignal): Promise<void> {
  const make = (
    plural: string,
    kind: string,
  ): [ResourceRef, Pick<KubeObject, "apiVersion" | "kind" | "metadata">] => [
    { group: "admissionregistration.k8s.io", version: "v1", plural, kind, namespaced: false },
    { apiVersion: "admissionregistration.k8s.io/v1", kind, metadata: { name: "bench-refuses" } },
  ];
  const [policyRef, policy] = make("validatingadmissionpolicies", "ValidatingAdmissionPolicy");
  const [bindingRef, binding] = make("validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding");
  must(
    await client.create(policyRef, {
      ...policy,
      spec: {
        failurePolicy: "Fail",
        matchConstraints: {
          namespaceSelector: {
            matchExpressions: [
              { key: "kubernetes.io/metadata.name", operator: "In", values: [namespace, NAMESPACE] },
            ],
          },
          resourceRules: [
            { apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["services"] },
          ],
        },
        validations: [{ expression: "false", message: "the bench refuses this Service" }],
      },
    } as KubeObject),
  );
  must(
    await client.create(bindingRef, {
      ...binding,
      spec: { policyName: "bench-refuses", validationActions: ["Deny"] },
    } as KubeObject),
  );
  const service = {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "refused", namespace: NAMESPACE },
    spec: { ports: [{ port: 80 }] },
  };
  await until(
    "The refusal of Services",
    async () => !(await client.create(KINDS.service, service, { dryRun: true })).ok,
    { deadlineMs: 60_000, signal },
  );
}
