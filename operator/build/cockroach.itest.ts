import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createKindTable, KINDS } from "../../platform/kube/kinds.ts";
import type { KubeObject } from "../../platform/kube/objects.ts";
import { FULFILLMENT_CENTER } from "../api/names.ts";
import { center, SETTINGS } from "../testing/center.ts";
import { connectTestCluster, must, type TestCluster, uniqueName } from "../testing/cluster.ts";
import { buildServiceAccounts } from "./accounts.ts";
import { cellOf } from "./cell.ts";
import { buildDatabase } from "./database.ts";
import { buildDisruptionBudgets } from "./disruption.ts";
import { buildNamespace } from "./namespace.ts";
import { buildNetworkPolicies } from "./network.ts";
import { buildSliceDeployments } from "./slices.ts";

/** What the operator makes of CockroachDB, held up to a real API server: no node can run it here. */
let cluster: TestCluster;
const name = uniqueName("roach");

const cellWith = (replicas: number) =>
  cellOf(center({ database: { engine: "CockroachDB", replicas } }, { name }), SETTINGS, 7);

beforeAll(async () => {
  cluster = await connectTestCluster();
  // Enforces the restricted Pod Security Standard, like every cell's.
  must(await cluster.client.create(KINDS.namespace, buildNamespace(cellWith(3))));
  for (const account of buildServiceAccounts(cellWith(3)))
    must(await cluster.client.create(KINDS.serviceAccount, account));
});
afterAll(async () => {
  await cluster?.client.remove(KINDS.namespace, { name: `cell-${name}` });
  await cluster?.close();
});

describe.each([1, 3])("a database of %i nodes", (replicas) => {
  const cell = cellWith(replicas);
  const objects = [
    ...buildDatabase(cell),
    ...buildDisruptionBudgets(cell),
    ...buildNetworkPolicies(cell),
    ...buildSliceDeployments(cell, "checksum"),
  ];

  it("is taken by the API server, every object as it stands", async () => {
    const refOf = createKindTable([FULFILLMENT_CENTER]);
    const kinds = new Set<string>();
    for (const object of objects) {
      const stored = must(await cluster.client.apply(refOf(object), object, { dryRun: true }));
      // A field that the server does not know would be missing from what it would store.
      expect(unknownFields(object.spec, stored.spec), `${object.kind} ${object.metadata.name}`).toEqual([]);
      kinds.add(object.kind);
    }
    expect([...kinds]).toEqual(
      expect.arrayContaining(["StatefulSet", "Service", "Job", "PodDisruptionBudget"]),
    );
  });

  it("may run where the restricted standard is enforced: the API server would take its pods", async () => {
    for (const object of objects) {
      const { template } = object.spec as { template?: { metadata: object; spec: object } };
      if (template === undefined) continue;
      const pod: KubeObject = {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { ...template.metadata, name: uniqueName("pod"), namespace: cell.namespace },
        spec: withClaims(template.spec, object),
      };
      must(await cluster.client.create(KINDS.pod, pod, { dryRun: true }));
    }
  });
});

it("a pod that asks for more than the standard allows is refused there", async () => {
  const cell = cellWith(3);
  const [job] = buildDatabase(cell).filter(({ kind }) => kind === "Job");
  if (job === undefined) throw new Error("no Job is built");
  const { template } = job.spec as { template: { spec: { securityContext: object } } };
  const spec = { ...template.spec, securityContext: { ...template.spec.securityContext, runAsUser: 0 } };
  const metadata = { name: "root", namespace: cell.namespace };
  const pod = { apiVersion: "v1", kind: "Pod", metadata, spec };
  expect(await cluster.client.create(KINDS.pod, pod, { dryRun: true })).toMatchObject({
    ok: false,
    message: expect.stringContaining("restricted"),
  });
});

/** Like the controller of StatefulSets: each template of a claim becomes a volume of the pod. */
function withClaims(spec: object, owner: KubeObject): object {
  const { volumeClaimTemplates = [] } = owner.spec as {
    volumeClaimTemplates?: { metadata: { name: string } }[];
  };
  const claims = volumeClaimTemplates.map(({ metadata }) => ({
    name: metadata.name,
    persistentVolumeClaim: { claimName: `${metadata.name}-${owner.metadata.name}-0` },
  }));
  return { ...spec, volumes: [...((spec as { volumes?: object[] }).volumes ?? []), ...claims] };
}

/** Paths that are in what we asked for and not in what the server would store. */
function unknownFields(asked: unknown, stored: unknown, path = "spec"): string[] {
  if (Array.isArray(asked))
    return asked.flatMap((item, index) =>
      unknownFields(item, (stored as unknown[] | undefined)?.[index], `${path}[${index}]`),
    );
  if (typeof asked !== "object" || asked === null) return [];
  return Object.entries(asked).flatMap(([key, value]) => {
    const there = (stored as Record<string, unknown> | undefined)?.[key];
    return there === undefined ? [`${path}.${key}`] : unknownFields(value, there, `${path}.${key}`);
  });
}
