import { describe, expect, it } from "vitest";
import { settingsSchema } from "../operator/api/settings.ts";
import { buildCache } from "../operator/build/cache.ts";
import { cellOf } from "../operator/build/cell.ts";
import { buildDatabase } from "../operator/build/database.ts";
import { buildProvisionJob } from "../operator/build/jobs.ts";
import { buildNamespace } from "../operator/build/namespace.ts";
import { buildNetworkPolicies } from "../operator/build/network.ts";
import { buildSliceDeployments } from "../operator/build/slices.ts";
import { DATABASE_PORT, FLOWS } from "../operator/build/traffic.ts";
import { center } from "../operator/testing/center.ts";
import type { KubeObject } from "../platform/kube/objects.ts";
import { isSliceName, SLICE_NAMES, SLICE_PORTS } from "../platform/slices.ts";
import { type ChartOptions, LOCAL, PRODUCTION, pick, podsOf, renderChart } from "./testing/chart.ts";
import { allows, type Endpoint } from "./testing/network.ts";

const SYSTEM = "fulfillment-cells";
const REGION = "kr-seoul";

type Labels = Record<string, string>;
const labelsOf = (object: KubeObject): Labels => (object.metadata.labels ?? {}) as Labels;
const inNamespace = (name: string, labels: Labels, pods: readonly KubeObject[]): Endpoint[] =>
  pods.map((pod) => ({
    name: `${name}/${labelsOf(pod)["app.kubernetes.io/component"]}`,
    namespace: name,
    namespaceLabels: { ...labels, "kubernetes.io/metadata.name": name },
    labels: labelsOf(pod),
  }));

/** Things that are not ours. */
const DNS: Endpoint = {
  ...{ name: "dns", namespace: "kube-system", labels: { "k8s-app": "kube-dns" } },
  namespaceLabels: { "kubernetes.io/metadata.name": "kube-system" },
};
const MONITORING: Endpoint = {
  ...{ name: "monitoring", namespace: "monitoring", labels: {} },
  namespaceLabels: { "cells.fulfillment.io/monitoring": "" },
};
const STRANGER: Endpoint = { name: "stranger", namespace: "shop", namespaceLabels: {}, labels: {} };
const PERSON: Endpoint = { name: "person", address: "203.0.113.9" };
const API_SERVER: Endpoint = { name: "api-server", address: "10.0.0.1" };

interface Scene {
  readonly policies: readonly KubeObject[];
  readonly endpoints: readonly Endpoint[];
  readonly ports: readonly number[];
}

/** The chart's namespace and three cells: two of its region, one of another. The operator's settings are the chart's own. */
async function scene(options: ChartOptions): Promise<Scene> {
  const chart = await renderChart({ ...options, namespace: SYSTEM });
  const settings = settingsSchema.parse(operatorEnvironment(chart));
  const cells = (
    [
      ["mapo", "Separate", REGION],
      ["gangnam", "Compact", REGION],
      ["haeundae", "Compact", "kr-busan"],
    ] as const
  ).map(([name, topology, region]) => {
    const fc = center({ topology, region }, { name });
    const cell = cellOf(fc, settings, 7);
    const stores = [...buildDatabase(cell), ...buildCache(cell)];
    const pods = podsOf(
      [...stores, buildProvisionJob(cell), ...buildSliceDeployments(cell, "")],
      cell.namespace,
    );
    return {
      policies: buildNetworkPolicies(cell),
      endpoints: inNamespace(cell.namespace, labelsOf(buildNamespace(cell)), pods),
    };
  });
  const system = inNamespace(SYSTEM, {}, podsOf(chart, SYSTEM));
  return {
    policies: [
      ...chart.filter(({ kind }) => kind === "NetworkPolicy"),
      ...cells.flatMap(({ policies }) => policies),
    ],
    endpoints: [
      ...system,
      ...cells.flatMap(({ endpoints }) => endpoints),
      ...[DNS, MONITORING, STRANGER, PERSON, API_SERVER],
    ],
    ports: [53, 443, 5432, 6379, 6443, 8080, 8085, 8090, 8091, 9092, 9093, ...Object.values(SLICE_PORTS)],
  };
}

function operatorEnvironment(chart: readonly KubeObject[]): Labels {
  const { template } = pick(chart, "Deployment", "operator").spec as {
    template: { spec: { containers: { env: { name: string; value?: string }[] }[] } };
  };
  const env = template.spec.containers[0]?.env ?? [];
  return Object.fromEntries(
    env.filter(({ value }) => value !== undefined).map((one) => [one.name, one.value!]),
  );
}

/** Every connection that may be made, as "from -> to:port"; those between two others are left out. */
function open(
  { policies, endpoints, ports }: Scene,
  keep: (from: Endpoint, to: Endpoint) => boolean,
): string[] {
  const found = new Set<string>();
  for (const from of endpoints)
    for (const to of endpoints)
      for (const port of ports)
        if (from !== to && keep(from, to) && allows(policies, from, to, port))
          found.add(`${short(from)} -> ${short(to)}:${port}`);
  return [...found].sort();
}

const short = ({ name }: Endpoint) =>
  name.replace(`${SYSTEM}/`, "").replace(/(provision|remove)-\w+$/, "job");
const isSystem = ({ namespace }: Endpoint) => namespace === SYSTEM;
const isCell = ({ namespace = "" }: Endpoint) => namespace.startsWith("cell-");
const ours = (one: Endpoint) => isSystem(one) || isCell(one);

const local: ChartOptions = { values: LOCAL, local: true };
const podsIn = (name: string) =>
  (name === "mapo" ? SLICE_NAMES : ["cell"]).map((pod) => `cell-${name}/${pod}`);
const gatewayFlows = [
  ...SLICE_NAMES.map((slice) => `gateway -> cell-mapo/${slice}:${SLICE_PORTS[slice]}`),
  ...SLICE_NAMES.map((slice) => `gateway -> cell-gangnam/cell:${SLICE_PORTS[slice]}`),
];

/** Of every region: how far a drain is. */
const operatorFlows = ["cell-mapo/orders", "cell-gangnam/cell", "cell-haeundae/cell"].map(
  (pod) => `operator -> ${pod}:${SLICE_PORTS.orders}`,
);

describe("the namespace of the operator", () => {
  it("on one small machine has exactly the ways in and out that its parts need", async () => {
    const found = open(await scene(local), (from, to) => isSystem(from) || isSystem(to));
    const names = ["operator", "gateway", "region-database", "kafka", "psp-sandbox", "dev-issuer"];
    const cells = ["mapo", "gangnam", "haeundae"];
    // A cell's own policies let its slices and Jobs out on Kafka's port, and payments to the processor; no cell calls a gateway.
    const outside = ["dns", "monitoring", "stranger", "person", "api-server"];
    const expected = [
      ...outside.map((from) => `${from} -> gateway:8080`),
      ...outside.map((from) => `${from} -> dev-issuer:8091`),
      "monitoring -> operator:8085",
      ...gatewayFlows,
      ...operatorFlows,
      "operator -> kafka:9092",
      "gateway -> region-database:5432",
      "gateway -> dev-issuer:8091",
      ...["gateway", "operator"].flatMap((from) =>
        ["api-server", "person"].flatMap((to) => [`${from} -> ${to}:443`, `${from} -> ${to}:6443`]),
      ),
      "psp-sandbox -> region-database:5432",
      ...cells.flatMap((name) =>
        [...podsIn(name), `cell-${name}/provision`].map((from) => `${from} -> kafka:9092`),
      ),
      ...["cell-mapo/payments", "cell-gangnam/cell", "cell-haeundae/cell"].map(
        (from) => `${from} -> psp-sandbox:8090`,
      ),
      ...names.map((from) => `${from} -> dns:53`),
    ];
    expect(found).toEqual([...new Set(expected)].sort());
  });

  it("in production reaches the stores and the identity provider that the values name", async () => {
    const values = {
      ...PRODUCTION,
      "regionDatabase.existingSecret": "region",
      "regionDatabase.port": "5433",
      "gateway.jwksUrl": "https://id.example.com:8443/jwks.json",
      "telemetry.otlpEndpoint": "http://collector.example.com:4318",
    };
    const made = await scene({ values });
    const ports = [...made.ports, 4318, 5433, 8443];
    const found = open({ ...made, ports }, (from, to) => isSystem(from) && to === PERSON);
    expect(found).toEqual(
      ["gateway -> person:", "operator -> person:"]
        .flatMap((way) => [443, 4318, 6443].map((port) => `${way}${port}`))
        .concat("gateway -> person:5433", "gateway -> person:8443")
        .concat("operator -> person:9092", "operator -> person:9093")
        .sort(),
    );
  });

  it("asks the cluster's names over UDP and TCP", async () => {
    const { policies, endpoints } = await scene(local);
    for (const from of endpoints.filter(ours))
      for (const protocol of ["UDP", "TCP"])
        expect(`${from.name} ${allows(policies, from, DNS, 53, protocol)}`).toBe(`${from.name} true`);
  });
});

describe("a cell", () => {
  it("has inside exactly the ways that its list of traffic names", async () => {
    const found = open(await scene(local), (from, to) => isCell(from) && from.namespace === to.namespace);
    const ofMapo = found.filter((one) => one.startsWith("cell-mapo/"));
    const expected = FLOWS.filter(({ from, to }) => isInside(from) && isInside(to) && from !== to).map(
      ({ from, to, port = DATABASE_PORT }) => `cell-mapo/${from} -> cell-mapo/${to}:${port}`,
    );
    expect(ofMapo).toEqual([...new Set(expected)].sort());
    expect(found.filter((one) => one.startsWith("cell-gangnam/"))).toEqual([
      "cell-gangnam/cell -> cell-gangnam/cache:6379",
      "cell-gangnam/cell -> cell-gangnam/database:5432",
      "cell-gangnam/provision -> cell-gangnam/cache:6379",
      "cell-gangnam/provision -> cell-gangnam/database:5432",
    ]);
  });

  it("is reached from nowhere but its region's gateway, the operator and monitoring, and reaches no other cell", async () => {
    const found = open(
      await scene(local),
      (from, to) => isCell(to) && from.namespace !== to.namespace && from !== MONITORING,
    );
    expect(found).toEqual([...gatewayFlows, ...operatorFlows].sort());
  });

  it("reaches outside on Kafka's port alone, and payments a processor on 443 that is no private address", async () => {
    const made = await scene(local);
    const found = open(
      made,
      (from, to) => isCell(from) && [PERSON, API_SERVER, STRANGER, MONITORING].includes(to),
    );
    const kafka = ["mapo", "gangnam", "haeundae"].flatMap((name) =>
      [...podsIn(name), `cell-${name}/provision`].flatMap((from) =>
        ["api-server", "monitoring", "person", "stranger"].map((to) => `${from} -> ${to}:9092`),
      ),
    );
    const pay = ["cell-mapo/payments", "cell-gangnam/cell", "cell-haeundae/cell"].map(
      (from) => `${from} -> person:443`,
    );
    expect(found).toEqual([...kafka, ...pay].sort());
  });
});

function isInside(party: string): boolean {
  return isSliceName(party) || ["database", "cache", "provision"].includes(party);
}

it("lets an isolation probe have its control, and closes every other way at one end alone", async () => {
  const { policies, endpoints, ports } = await scene(local);
  const own = endpoints.find(({ namespace }) => namespace === "cell-mapo");
  const probe: Endpoint = {
    ...{ name: "probe", namespace: "cell-mapo", namespaceLabels: own?.namespaceLabels ?? {} },
    labels: { "app.kubernetes.io/component": "isolation-probe" },
  };
  const reached = (some: readonly KubeObject[]) =>
    endpoints
      .filter(isCell)
      .flatMap((to) =>
        ports.filter((port) => allows(some, probe, to, port)).map((port) => `${to.name}:${port}`),
      );
  expect(reached(policies)).toEqual(["cell-mapo/cache:6379"]);
  // With one end open, the other decides.
  const oneEnd = (type: string) =>
    reached(
      policies
        .filter(({ spec }) => (spec as { policyTypes: string[] }).policyTypes.includes(type))
        .map((policy) => ({ ...policy, spec: { ...(policy.spec as object), policyTypes: [type] } })),
    );
  const [ingressOnly, egressOnly] = [oneEnd("Ingress"), oneEnd("Egress")];
  expect(ingressOnly.sort()).toEqual(["cell-mapo/cache:6379", "cell-mapo/inventory:7001"]);
  expect(egressOnly).toEqual(
    expect.arrayContaining([
      "cell-mapo/tracking:7007",
      "cell-gangnam/database:5432",
      "cell-gangnam/cache:6379",
      "cell-gangnam/cell:7002",
    ]),
  );
  expect(egressOnly).not.toContain("cell-mapo/inventory:7001");
});
