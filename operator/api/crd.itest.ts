import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run } from "../../local/cluster/command.ts";
import type { KubeObject } from "../../platform/kube/objects.ts";
import { connectTestCluster, must, type TestCluster, uniqueName } from "../testing/cluster.ts";
import { buildCrds } from "./crd.ts";
import { API_VERSION, FULFILLMENT_CENTER, ROUTING_TABLE } from "./names.ts";

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await connectTestCluster();
});
afterAll(() => cluster?.close());

type Json = Record<string, unknown>;
const EXTERNAL = { host: "db", cidr: "10.20.0.0/24", secretRef: { name: "s" } };

const base = (): Json => ({
  region: "kr-test",
  location: { latitude: "37.5663", longitude: "126.9018" },
  coverage: { radiusMeters: 8000 },
  // Paused, so that an operator that happens to run leaves it alone.
  paused: true,
  database: { engine: "PostgreSQL" },
});
const center = (spec: Json, name = uniqueName("crd")): KubeObject => ({
  apiVersion: API_VERSION,
  kind: "FulfillmentCenter",
  metadata: { name },
  spec: { ...base(), ...spec },
});

/** Every refusal of this file, as the API server words it. */
const refusals: string[] = [];
function refused<T extends { ok: boolean; message?: string }>(result: T): T {
  if (result.message !== undefined) refusals.push(result.message);
  return result;
}

/** The rules of a schema, each with the path of the field that it is about. */
function rulesOf(schema: Json, place: string): { place: string; message: string }[] {
  const own = (schema["x-kubernetes-validations"] ?? []) as { message: string }[];
  const below = Object.entries((schema.properties ?? {}) as Record<string, Json>).flatMap(([name, one]) =>
    rulesOf(one, place === "" ? name : `${place}.${name}`),
  );
  const items = schema.items === undefined ? [] : rulesOf(schema.items as Json, `${place}[]`);
  return [...own.map(({ message }) => ({ place, message })), ...below, ...items];
}

describe("a FulfillmentCenter that is wrong is refused with a sentence", () => {
  const location = { latitude: "37.5663", longitude: "126.9018" };
  it.each<[string, Json, string]>([
    ["latitude is a number", { location: { ...location, latitude: 37.5 } }, "must be of type string"],
    [
      "latitude out of range",
      { location: { ...location, latitude: "90.1" } },
      "latitude is a decimal string between -90 and 90",
    ],
    ["latitude not decimal", { location: { ...location, latitude: "37,5" } }, "latitude is a decimal string"],
    [
      "longitude out of range",
      { location: { ...location, longitude: "-180.0001" } },
      "longitude is a decimal string between -180 and 180",
    ],
    ["coverage too small", { coverage: { radiusMeters: 99 } }, "greater than or equal to 100"],
    ["coverage too large", { coverage: { radiusMeters: 200_001 } }, "less than or equal to 200000"],
    [
      "service level too short",
      { coverage: { radiusMeters: 500, serviceLevelMinutes: 1 } },
      "greater than or equal to 5",
    ],
    ["no coverage", { coverage: undefined }, "spec.coverage: Required value"],
    ["region no label", { region: "KR_Seoul" }, "region is lower-case letters, digits and '-'"],
    ["unknown mode", { mode: "Hibernated" }, 'supported values: "Active", "Draining", "Fenced"'],
    ["unknown topology", { topology: "Together" }, 'supported values: "Separate", "Compact"'],
    [
      "replicas of PostgreSQL",
      { database: { engine: "PostgreSQL", replicas: 3 } },
      "database.replicas is 1 unless the engine is CockroachDB",
    ],
    [
      "an even number of replicas",
      { database: { engine: "CockroachDB", replicas: 4 } },
      "database.replicas is odd",
    ],
    [
      "storage without a unit",
      { database: { engine: "PostgreSQL", storage: "20" } },
      "database.storage is a whole number followed by Mi, Gi or Ti",
    ],
    [
      "cache memory in words",
      { cache: { memory: "64 MB" } },
      "cache.memory is a whole number followed by Mi, Gi or Ti",
    ],
    [
      "brokers without a port",
      { messaging: { bootstrapServers: "kafka" } },
      "messaging.bootstrapServers is host:port",
    ],
    ["no partition", { messaging: { partitions: 0 } }, "greater than or equal to 1"],
    ["an unknown service", { services: [{ name: "billing" }] }, 'supported values: "inventory", "orders"'],
    [
      "a service twice",
      { services: [{ name: "orders" }, { name: "orders", replicas: 2 }] },
      "Duplicate value",
    ],
    [
      "cpu in words",
      { services: [{ name: "orders", resources: { requests: { cpu: "half" } } }] },
      "cpu is millicores or whole cores",
    ],
    [
      "a time zone as an offset",
      { location: { ...location, timeZone: "+09:00" } },
      "timeZone is an IANA name",
    ],
    [
      "a time zone with a blank",
      { location: { ...location, timeZone: "Asia/New Seoul" } },
      "timeZone is an IANA name",
    ],
    ["a locale with an underscore", { market: { locale: "ko_KR" } }, "locale is a BCP 47 tag"],
    ["a locale in capitals", { market: { locale: "KO" } }, "locale is a BCP 47 tag"],
    [
      "limits in words",
      { services: [{ name: "orders", resources: { limits: { cpu: "1.5", memory: "lots" } } }] },
      "resources.limits.cpu: Invalid value",
    ],
    [
      "memory in bytes",
      { services: [{ name: "orders", resources: { requests: { memory: "134217728" } } }] },
      "memory is a whole number followed by Mi, Gi or Ti",
    ],
    ["a quota of cpu in words", { isolation: { quota: { cpu: "all" } } }, "cpu is millicores or whole cores"],
    [
      "a quota of memory in words",
      { isolation: { quota: { memory: "4 G" } } },
      "quota.memory is a whole number",
    ],
    ["a quota of storage in words", { isolation: { quota: { storage: "0Gi" } } }, "quota.storage is a whole"],
    ["currency in words", { market: { currency: "won" } }, "currency is an ISO 4217 code"],
    [
      "an external database without its address range",
      { database: { engine: "PostgreSQL", external: { host: "db", cidr: "db", secretRef: { name: "s" } } } },
      "cidr is an address range",
    ],
    [
      "an external database with a name in quotes",
      { database: { engine: "PostgreSQL", external: { ...EXTERNAL, name: 'a"b' } } },
      "database.external.name is lower-case letters",
    ],
    [
      "a way to know a server that there is not",
      { database: { engine: "PostgreSQL", external: { ...EXTERNAL, tls: "Prefer" } } },
      'supported values: "Disable", "Require", "VerifyCA", "VerifyFull"',
    ],
    ["unknown deletion policy", { deletion: { policy: "Snapshot" } }, 'supported values: "Retain", "Delete"'],
  ])("%s", async (_title, spec, sentence) => {
    const result = refused(await cluster.client.create(FULFILLMENT_CENTER, center(spec)));
    expect(result).toMatchObject({ ok: false, code: "invalid", message: expect.stringContaining(sentence) });
  });

  it.each([["a".repeat(41)], ["has.dot"]])("name %s", async (name) => {
    const result = refused(await cluster.client.create(FULFILLMENT_CENTER, center({}, name)));
    expect(result).toMatchObject({
      ok: false,
      message: expect.stringContaining("metadata.name is at most 40"),
    });
  });
});

describe("a change that cannot be carried out is refused with a sentence", () => {
  it.each<[string, Json, Json, string]>([
    ["region", {}, { region: "kr-other" }, "region cannot be changed"],
    ["engine", {}, { database: { engine: "CockroachDB" } }, "database.engine cannot be changed"],
    [
      "smaller storage",
      { database: { engine: "PostgreSQL", storage: "2Gi" } },
      { database: { engine: "PostgreSQL", storage: "2047Mi" } },
      "database.storage only grows",
    ],
    [
      "fewer partitions",
      { messaging: { partitions: 6 } },
      { messaging: { partitions: 5 } },
      "messaging.partitions only grows",
    ],
    [
      "another external database",
      { database: { engine: "PostgreSQL", external: EXTERNAL } },
      { database: { external: { name: "other" } } },
      "database.external.name cannot be changed",
    ],
    [
      "from our own to an external database",
      {},
      { database: { external: EXTERNAL } },
      "database.external cannot be added or removed",
    ],
    ["persistence", {}, { cache: { persistence: false } }, "cache.persistence cannot be changed"],
  ])("%s", async (_title, before, after, sentence) => {
    const name = uniqueName("crd");
    must(await cluster.client.create(FULFILLMENT_CENTER, center(before, name)));
    try {
      const result = refused(await cluster.client.patch(FULFILLMENT_CENTER, { name }, { spec: after }));
      expect(result).toMatchObject({
        ok: false,
        code: "invalid",
        message: expect.stringContaining(sentence),
      });
    } finally {
      must(await cluster.client.remove(FULFILLMENT_CENTER, { name }));
    }
  });

  it("what may change does: more storage, more partitions, another topology, mode and image", async () => {
    const name = uniqueName("crd");
    must(await cluster.client.create(FULFILLMENT_CENTER, center({}, name)));
    const spec = {
      topology: "Separate",
      mode: "Draining",
      release: { image: "cell:2" },
      database: { storage: "1Ti" },
      messaging: { partitions: 9 },
    };
    must(await cluster.client.patch(FULFILLMENT_CENTER, { name }, { spec }));
    must(await cluster.client.remove(FULFILLMENT_CENTER, { name }));
  });
});

describe("what the API server fills in", () => {
  it("is what the schema says by default", async () => {
    const name = uniqueName("crd");
    const { database: _none, ...smallest } = base();
    const created = must(
      await cluster.client.create(FULFILLMENT_CENTER, { ...center({}, name), spec: smallest }),
    );
    must(await cluster.client.remove(FULFILLMENT_CENTER, { name }));
    expect(created.spec).toEqual({
      ...smallest,
      location: { ...(smallest.location as Json), timeZone: "Asia/Seoul" },
      coverage: { radiusMeters: 8000, serviceLevelMinutes: 60 },
      market: { currency: "KRW", locale: "ko-KR" },
      mode: "Active",
      topology: "Compact",
      release: {},
      capacity: { maxOrdersPerMinute: 600 },
      database: { engine: "CockroachDB", storage: "20Gi" },
      cache: { memory: "64Mi", persistence: true },
      messaging: { partitions: 3, retentionHours: 168 },
      services: [],
      isolation: { networkPolicy: "Declared" },
      deletion: { policy: "Retain", protection: false },
    });
  });
});

describe("a RoutingTable", () => {
  it("refuses a version that goes back", async () => {
    const name = uniqueName("rt");
    const table = {
      apiVersion: API_VERSION,
      kind: "RoutingTable",
      metadata: { name },
      spec: { version: 5, cells: [] },
    };
    must(await cluster.client.create(ROUTING_TABLE, table));
    const result = refused(await cluster.client.patch(ROUTING_TABLE, { name }, { spec: { version: 4 } }));
    must(await cluster.client.remove(ROUTING_TABLE, { name }));
    expect(result).toMatchObject({
      ok: false,
      code: "invalid",
      message: expect.stringContaining("version only grows"),
    });
  });
});

it("every rule of the CRDs has refused something above, at its place", () => {
  const known = buildCrds().flatMap((crd) => {
    const [version] = (crd.spec as { versions: { schema: { openAPIV3Schema: Json } }[] }).versions;
    return rulesOf(version?.schema.openAPIV3Schema ?? {}, "");
  });
  expect(known.length).toBeGreaterThanOrEqual(29);
  const idle = known.filter(
    ({ place, message }) =>
      !refusals.some(
        (text) =>
          text.includes(message) &&
          text.replaceAll(/\[\d+\]/g, "[]").includes(place === "" ? message : `${place}: Invalid value`),
      ),
  );
  expect(idle).toEqual([]);
});

describe("kubectl", () => {
  const kubectl = (...words: string[]) => {
    const { TEST_KUBECTL: program, TEST_KUBECONFIG: kubeconfig } = process.env;
    if (program === undefined || kubeconfig === undefined)
      throw new Error("set TEST_KUBECTL and TEST_KUBECONFIG to a kubectl and an API server for tests");
    return run([program, "--kubeconfig", kubeconfig, ...words]);
  };

  it.each(["spec", "spec.database", "spec.services.resources", "status.conditions"])(
    "explains fc.%s with a word on each field",
    async (path) => {
      const text = await kubectl("explain", `fulfillmentcenters.${path}`);
      expect(text).toMatch(/DESCRIPTION:\n {4}\S/);
      expect(text).not.toContain("no description");
    },
  );

  it("shows each center in one short line, and more when asked", async () => {
    const name = uniqueName("crd");
    must(await cluster.client.create(FULFILLMENT_CENTER, center({}, name)));
    const status = {
      phase: "Ready",
      epoch: 7,
      namespace: `cell-${name}`,
      release: { current: "registry.example/cell:1" },
      conditions: ["Available", "Ready"].map((type) => ({
        ...{ type, status: "True", reason: type, message: "It serves.", observedGeneration: 1 },
        lastTransitionTime: "2026-11-21T08:00:00Z",
      })),
    };
    must(await cluster.client.patch(FULFILLMENT_CENTER, { name }, { status }, { subresource: "status" }));
    const columns = (text: string) =>
      text
        .trim()
        .split("\n")
        .map((line) => line.split(/ {2,}/));
    const short = columns(await kubectl("get", "fc", name));
    const wide = columns(await kubectl("get", "fc", name, "--output=wide"));
    must(await cluster.client.remove(FULFILLMENT_CENTER, { name }));
    expect(short[0]).toEqual(["NAME", "READY", "AVAILABLE", "PHASE", "REGION", "RELEASE", "AGE"]);
    expect(short[1]?.slice(0, -1)).toEqual([
      name,
      "True",
      "True",
      "Ready",
      "kr-test",
      "registry.example/cell:1",
    ]);
    expect(wide[0]?.slice(7)).toEqual(["MODE", "NAMESPACE", "EPOCH", "MESSAGE"]);
    expect(wide[1]?.slice(7)).toEqual(["Active", `cell-${name}`, "7", "It serves."]);
  });
});
