import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { NODE_FLAGS } from "../bench/operator/contender.ts";
import type { FulfillmentCenterInput } from "../operator/api/fulfillment-center.ts";
import { buildServiceAccounts } from "../operator/build/accounts.ts";
import { cellOf } from "../operator/build/cell.ts";
import { buildFenceJob, buildRemoveJob, buildRetireJob } from "../operator/build/jobs.ts";
import { buildNamespace } from "../operator/build/namespace.ts";
import { center, SETTINGS } from "../operator/testing/center.ts";
import { connectTestCluster, must, type TestCluster, uniqueName } from "../operator/testing/cluster.ts";
import { provisionedWorld } from "../operator/testing/world.ts";
import { KINDS } from "../platform/kube/kinds.ts";
import type { KubeObject } from "../platform/kube/objects.ts";
import { parseYaml } from "../platform/yaml.ts";
import {
  CHART,
  type ChartOptions,
  helm,
  LOCAL,
  PRODUCTION,
  pick,
  podsOf,
  renderChart,
  valueWords,
} from "./testing/chart.ts";
import { dryRun, restrictedNamespace } from "./testing/cluster.ts";

let cluster: TestCluster;
const namespaces: string[] = [];
beforeAll(async () => {
  cluster = await connectTestCluster();
});
afterAll(async () => {
  for (const name of namespaces) await cluster?.client.remove(KINDS.namespace, { name });
  await cluster?.close();
});

/** A namespace that stays for the length of this file, with the identities that pods ask for. */
async function prepare(namespace: KubeObject, accounts: readonly KubeObject[]): Promise<void> {
  must(await cluster.client.create(KINDS.namespace, namespace));
  namespaces.push(namespace.metadata.name);
  for (const account of accounts) must(await cluster.client.create(KINDS.serviceAccount, account));
}

const ofKind = (objects: readonly KubeObject[], kind: string) => objects.filter((one) => one.kind === kind);
/** What is asked for last: a namespace and its identities exist already when the rest is asked for. */
const rest = (objects: readonly KubeObject[]) =>
  objects.filter(({ kind }) => kind !== "Namespace" && kind !== "ServiceAccount");

const root = join(CHART, "..", "..");
const [skaffold] = parseYaml(readFileSync(join(root, "skaffold.yaml"), "utf8")) as [
  {
    deploy: { helm: { releases: { setValues: Record<string, unknown> }[] } };
    profiles: { patches: { path: string; value: Record<string, unknown> }[] }[];
  },
];
const words = (values: Record<string, unknown> = {}) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]));

const installations: readonly (readonly [string, ChartOptions])[] = [
  ["values for production", { values: PRODUCTION }],
  ["values for one small machine", { values: LOCAL, local: true }],
  ["values of skaffold.yaml", { values: words(skaffold.deploy.helm.releases[0]?.setValues) }],
  ["values of its profile for production", { values: words(skaffold.profiles[0]?.patches[0]?.value) }],
  [
    "one replica, a load balancer, traces and somebody else's region database",
    {
      values: {
        ...PRODUCTION,
        "operator.replicas": "1",
        "gateway.replicas": "1",
        "gateway.service.type": "LoadBalancer",
        "telemetry.otlpEndpoint": "http://collector.monitoring:4318",
        "regionDatabase.existingSecret": "region",
        "image.pullPolicy": "Always",
      },
    },
  ],
];

it("passes helm's own checks as it is, before anybody has set a value", async () => {
  expect(await helm(["lint", "--strict", CHART])).toMatchObject({
    ok: true,
    output: expect.stringContaining("0 chart(s) failed"),
  });
});

it("starts the operator with what its bench measures it with", async () => {
  const { spec } = pick(await renderChart({ values: PRODUCTION }), "Deployment", "operator");
  const { containers } = (spec as { template: { spec: { containers: { args?: string[] }[] } } }).template
    .spec;
  expect(containers.map(({ args }) => args)).toEqual([[...NODE_FLAGS, "operator/main.ts"]]);
});

describe.each(installations)("the chart with %s", (_title, options) => {
  it("passes helm's own checks", async () => {
    const answer = await helm(["lint", "--strict", CHART, ...valueWords(options)]);
    expect(answer).toMatchObject({ ok: true, output: expect.stringContaining("0 chart(s) failed") });
  });

  it("is taken by an API server that admits restricted pods only, pods included", async () => {
    const namespace = uniqueName("chart");
    const objects = await renderChart({ ...options, namespace });
    await prepare(restrictedNamespace(namespace), ofKind(objects, "ServiceAccount"));
    const pods = podsOf(objects, namespace);
    expect(pods.length).toBeGreaterThanOrEqual(2);
    const wanted = [...rest(objects), ...pods];
    const { taken, refusals } = await dryRun(wanted);
    expect(refusals).toEqual([]);
    expect(taken).toHaveLength(wanted.length);
  });
});

const cells: readonly (readonly [string, Partial<FulfillmentCenterInput>])[] = [
  ["Separate", { topology: "Separate" }],
  ["Compact", { topology: "Compact" }],
  ["CockroachDB", { topology: "Compact", database: { engine: "CockroachDB", storageClassName: "fast" } }],
  [
    "a database of somebody else and a cache without a volume",
    {
      topology: "Separate",
      cache: { memory: "64Mi", persistence: false },
      database: {
        engine: "PostgreSQL",
        external: { host: "db.example.com", cidr: "10.20.0.0/24", secretRef: { name: "shard" } },
      },
    },
  ],
];

describe.each(cells)("a cell in %s", (_title, spec) => {
  it("is taken by an API server that admits restricted pods only: stores, slices and every Job", async () => {
    const fc = center(spec, { name: uniqueName("chart") });
    const cell = cellOf(fc, SETTINGS, 7);
    await prepare(buildNamespace(cell), buildServiceAccounts(cell));
    const { objects } = provisionedWorld(fc).plan();
    const all = [...objects, buildFenceJob(cell, 8), buildRetireJob(cell), buildRemoveJob(cell)];
    const pods = podsOf(all, cell.namespace);
    const jobs = ofKind(all, "Job").map(({ metadata }) => metadata.name.split("-")[0]);
    const init = fc.spec.database.engine === "CockroachDB" ? ["database"] : [];
    expect(jobs.sort()).toEqual([...init, "fence", "isolation", "provision", "remove", "retire"].sort());
    expect(ofKind(all, "Deployment")).toHaveLength(spec.topology === "Separate" ? 7 : 1);
    const wanted = [...rest(all), ...pods];
    const { taken, refusals } = await dryRun(wanted);
    expect(refusals).toEqual([]);
    expect(taken).toHaveLength(wanted.length);
  });
});

describe("the image of operator and gateway", () => {
  const values = { ...PRODUCTION, "pspSandbox.enabled": "true", "devIssuer.enabled": "true" };
  const imagesOf = async (set: Record<string, string>) => {
    const objects = await renderChart({ values: { ...values, "image.cell": "r.example/cell:1", ...set } });
    const deployments = ofKind(objects, "Deployment").map(({ metadata, spec }) => {
      const { containers } = (spec as Templated).template.spec;
      return [metadata.name, containers.map(({ image }) => image).join()] as const;
    });
    const { containers } = (pick(objects, "Deployment", "operator").spec as Templated).template.spec;
    const forCells = containers[0]?.env?.find(({ name }) => name === "CELL_IMAGE")?.value;
    return { ...Object.fromEntries(deployments), forCells };
  };
  interface Templated {
    template: {
      spec: { containers: { image: string; env?: { name: string; value?: string }[] }[] };
    };
  }
  const all = (image: string) => ({
    ...{ operator: image, gateway: image, "psp-sandbox": image, "dev-issuer": image },
    forCells: "r.example/cell:1",
  });

  it("is the cells' as long as nobody names another", async () => {
    expect(await imagesOf({})).toEqual(all("r.example/cell:1"));
  });

  it("changes without a word about it to the cells", async () => {
    expect(await imagesOf({ "image.operator": "r.example/cell:2" })).toEqual(all("r.example/cell:2"));
  });
});

it("would notice a container that wants more than it may", async () => {
  const namespace = uniqueName("chart");
  const objects = await renderChart({ values: PRODUCTION, namespace });
  await prepare(restrictedNamespace(namespace), ofKind(objects, "ServiceAccount"));
  const [pod] = podsOf([pick(objects, "Deployment", "gateway")], namespace);
  const spec = pod?.spec as { containers: { securityContext: object }[]; securityContext: object };
  const [container] = spec.containers;
  for (const [fault, word] of [
    [{ ...spec, containers: [{ ...container, securityContext: { privileged: true } }] }, "privileged"],
    [{ ...spec, securityContext: { ...spec.securityContext, runAsUser: 0 } }, "runAsUser"],
    [{ ...spec, hostNetwork: true }, "host namespaces"],
  ] as const) {
    const { taken, refusals } = await dryRun([{ ...pod!, spec: fault }]);
    expect(taken).toEqual([]);
    expect(refusals.join()).toContain(word);
  }
});

describe("values that are wrong are refused with a sentence", () => {
  it.each<[string, Record<string, string>, string]>([
    ["too many copies", { "kafka.replicas": "9" }, "at '/kafka/replicas': maximum: got 9, want 7"],
    [
      "a word for a number",
      { "operator.replicas": "two" },
      "at '/operator/replicas': got string, want integer",
    ],
    ["an unknown type of Service", { "gateway.service.type": "Public" }, "at '/gateway/service/type'"],
    ["a misspelt name", { "gateway.replica": "2" }, "additional properties 'replica' not allowed"],
    ["a misspelt section", { "operators.replicas": "2" }, "additional properties 'operators' not allowed"],
    ["a region that is no label", { region: "KR_Seoul" }, "at '/region'"],
    ["an unknown level", { "operator.logLevel": "loud" }, "at '/operator/logLevel'"],
    ["no image", { "image.cell": "" }, "at '/image/cell'"],
    ["brokers without a port", { "kafka.bootstrapServers": "kafka" }, "at '/kafka/bootstrapServers'"],
    [
      "a processor that is no URL",
      { "payments.processorUrl": "psp.example.com" },
      "at '/payments/processorUrl'",
    ],
    ["a node port out of range", { "gateway.service.nodePort": "80" }, "at '/gateway/service/nodePort'"],
    ["no brokers", { "kafka.bootstrapServers": "" }, "Set kafka.bootstrapServers to your brokers"],
    ["no processor", { "payments.processorUrl": "" }, "Set payments.processorUrl to your payment processor"],
    ["no key set", { "gateway.jwksUrl": "" }, "Set gateway.jwksUrl to the key set of your identity provider"],
  ])("%s", async (_title, values, sentence) => {
    await expect(renderChart({ values: { ...PRODUCTION, ...values } })).rejects.toThrow(sentence);
  });
});

describe("the CRDs of the chart", () => {
  it("are those of crds/, byte for byte", () => {
    const read = (folder: string) =>
      Object.fromEntries(readdirSync(folder).map((file) => [file, readFileSync(join(folder, file), "utf8")]));
    const ours = read(join(root, "crds"));
    expect(Object.keys(ours)).toHaveLength(2);
    expect(read(join(CHART, "crds"))).toEqual(ours);
  });
});
