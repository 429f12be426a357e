import { describe, expect, it } from "vitest";
import type { KubeObject } from "../../platform/kube/objects.ts";
import { SLICE_NAMES, SLICE_PORTS } from "../../platform/slices.ts";
import type { FulfillmentCenterInput } from "../api/fulfillment-center.ts";
import { LABELS } from "../api/names.ts";
import { center, SETTINGS } from "../testing/center.ts";
import { CELL_KEY, GATEWAY_KEYS, NEXT_CELL_KEY, provisionedWorld } from "../testing/world.ts";
import { buildCache } from "./cache.ts";
import { cellOf } from "./cell.ts";
import { buildDatabase } from "./database.ts";
import { buildFenceJob, buildProvisionJob, buildRemoveJob } from "./jobs.ts";
import { buildNetworkPolicies } from "./network.ts";
import { formatBytes, formatMillicores, parseBytes, parseMillicores } from "./quantity.ts";
import { sumOfWorkloads } from "./quota.ts";
import { buildSecrets } from "./secrets.ts";
import { buildSliceDeployments } from "./slices.ts";
import { FLOWS } from "./traffic.ts";

const cell = (spec: Partial<FulfillmentCenterInput> = {}) => cellOf(center(spec), SETTINGS, 7);
const TOPOLOGIES = ["Separate", "Compact"] as const;

interface PodSpec {
  automountServiceAccountToken: boolean;
  securityContext: { runAsNonRoot: boolean; seccompProfile: { type: string } };
  containers: {
    name: string;
    args: string[];
    env?: { name: string; value?: string }[];
    image: string;
    securityContext: Record<string, unknown>;
  }[];
  volumes: Record<string, unknown>[];
}
const podSpecs = (objects: readonly KubeObject[]) =>
  objects
    .filter(({ kind }) => ["Deployment", "StatefulSet", "Job"].includes(kind))
    .map(
      (object) =>
        [object.metadata.name, (object.spec as { template: { spec: PodSpec } }).template.spec] as const,
    );

describe.each(TOPOLOGIES)("a cell in %s", (topology) => {
  const world = provisionedWorld(center({ topology }));
  const objects = [...world.objects.values()];

  it("asks for at most 0.7 core, fits its own quota, and a whole rollout does too", () => {
    const sum = sumOfWorkloads(objects);
    expect(sum.cpuMillicores).toBeLessThanOrEqual(700);
    const surge = sumOfWorkloads(objects.filter(({ kind }) => kind === "Deployment"));
    const hard = (world.get("ResourceQuota", "cell").spec as { hard: Record<string, string> }).hard;
    expect(sum.cpuMillicores + surge.cpuMillicores).toBeLessThanOrEqual(
      parseMillicores(hard["requests.cpu"]!),
    );
    expect(sum.memoryBytes + surge.memoryBytes).toBeLessThanOrEqual(parseBytes(hard["requests.memory"]!));
    expect(sum.memoryLimitBytes + surge.memoryLimitBytes).toBeLessThanOrEqual(
      parseBytes(hard["limits.memory"]!),
    );
    expect(sum.storageBytes).toBeLessThanOrEqual(parseBytes(hard["requests.storage"]!));
    expect(sum.pods + surge.pods).toBeLessThanOrEqual(Number(hard.pods));
  });

  it.each(podSpecs(objects))("pod of %s passes Pod Security restricted", (_name, spec) => {
    expect(spec.automountServiceAccountToken).toBe(false);
    expect(spec.securityContext).toMatchObject({
      runAsNonRoot: true,
      seccompProfile: { type: "RuntimeDefault" },
    });
    for (const container of spec.containers)
      expect(container.securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      });
    const sources = spec.volumes.flatMap((volume) => Object.keys(volume).filter((key) => key !== "name"));
    expect(sources.filter((source) => !["emptyDir", "secret"].includes(source))).toEqual([]);
  });

  it("carries our marks on every object and an owner reference on none", () => {
    for (const object of [...objects, world.namespace!]) {
      expect(object.metadata.labels).toMatchObject({
        [LABELS.managedBy]: "fulfillment-cells",
        [LABELS.center]: "seoul-mapo",
      });
      expect(object.metadata.ownerReferences).toBeUndefined();
    }
  });

  it("has for each slice a Service that finds its pods, and that alone", () => {
    const templates = objects
      .filter(({ kind }) => kind === "Deployment")
      .map(
        (object) =>
          (object.spec as { template: { metadata: { labels: Record<string, string> } } }).template.metadata
            .labels,
      );
    for (const slice of SLICE_NAMES) {
      const { selector, ports } = world.get("Service", slice).spec as {
        selector: Record<string, string>;
        ports: { port: number }[];
      };
      const found = templates.filter((labels) =>
        Object.entries(selector).every(([key, value]) => labels[key] === value),
      );
      expect(found).toHaveLength(1);
      expect(ports.map(({ port }) => port)).toEqual([SLICE_PORTS[slice]]);
    }
  });

  it("gives the slices only their own passwords, and the way to their siblings", () => {
    for (const [name, spec] of podSpecs(objects.filter(({ kind }) => kind === "Deployment"))) {
      const env = spec.containers[0]?.env ?? [];
      const passwords = env
        .filter((one) => one.name.startsWith("DATABASE_PASSWORD_"))
        .map((one) => one.name.slice(18).toLowerCase());
      expect(passwords).toEqual(topology === "Separate" ? [name] : [...SLICE_NAMES]);
      const url = (slice: string) => env.find((one) => one.name === `URL_${slice.toUpperCase()}`)?.value;
      expect(url("orders")).toBe(topology === "Separate" ? "http://orders:7002" : "http://127.0.0.1:7002");
      expect(env.some((one) => one.name === "DATABASE_ADMIN_URL")).toBe(false);
    }
  });
});

describe("network policies", () => {
  interface Policy {
    podSelector: { matchLabels?: Record<string, string> };
    ingress?: { from: unknown[]; ports: { port: number }[] }[];
    egress?: { to: unknown[]; ports: { port: number }[] }[];
  }
  const policies = new Map(
    buildNetworkPolicies(cell()).map((object) => [object.metadata.name, object.spec as unknown as Policy]),
  );
  const selector = (party: string) => ({
    podSelector: {
      matchLabels: (SLICE_NAMES as readonly string[]).includes(party)
        ? { [LABELS.slice(party)]: "" }
        : { [LABELS.component]: party },
    },
  });

  it("deny everything first, and are the same in both topologies", () => {
    expect(policies.get("default-deny")).toEqual({ podSelector: {}, policyTypes: ["Ingress", "Egress"] });
    expect(buildNetworkPolicies(cell({ topology: "Separate" }))).toEqual(
      buildNetworkPolicies(cell({ topology: "Compact" })),
    );
  });

  it("let every listed flow between slices out of one side and into the other, on its port only", () => {
    const inner = FLOWS.filter(
      ({ from, to, port }) =>
        port !== undefined && policies.has(`allow-${from}`) && policies.has(`allow-${to}`),
    );
    expect(inner.length).toBeGreaterThan(10);
    for (const { from, to, port, side } of inner) {
      const out = policies
        .get(`allow-${from}`)
        ?.egress?.filter((rule) =>
          JSON.stringify(rule.to).includes(JSON.stringify(selector(to).podSelector)),
        );
      const into = policies
        .get(`allow-${to}`)
        ?.ingress?.filter((rule) =>
          JSON.stringify(rule.from).includes(JSON.stringify(selector(from).podSelector)),
        );
      expect(
        (out ?? []).flatMap((rule) => rule.ports.map((one) => one.port)),
        `${from} -> ${to}`,
      ).toEqual(side === "ingress" ? [] : [port]);
      expect(
        (into ?? []).flatMap((rule) => rule.ports.map((one) => one.port)),
        `${from} -> ${to}`,
      ).toEqual(side === "egress" ? [] : [port]);
    }
  });

  it("let no pair of slices talk that is not listed", () => {
    const listed = new Set(FLOWS.map(({ from, to }) => `${from} ${to}`));
    for (const from of SLICE_NAMES)
      for (const to of SLICE_NAMES) {
        const allowed = JSON.stringify(policies.get(`allow-${from}`)?.egress).includes(LABELS.slice(to));
        expect(allowed, `${from} -> ${to}`).toBe(listed.has(`${from} ${to}`));
      }
  });

  it("let the Jobs reach the stores and Kafka and nobody reach them", () => {
    const job = policies.get("allow-provision");
    expect(job?.ingress).toBeUndefined();
    expect(job?.egress?.flatMap(({ ports }) => ports.map(({ port }) => port)).sort()).toEqual([
      5432, 6379, 9092,
    ]);
  });

  it("let nothing into the database but slices and Jobs, and nothing out", () => {
    const database = policies.get("allow-database");
    expect(database?.ingress?.flatMap(({ from }) => from)).toHaveLength(SLICE_NAMES.length + 2);
    expect(database?.egress).toEqual([
      { to: [selector("database")], ports: [{ protocol: "TCP", port: 5432 }] },
    ]);
  });

  it("let payments out to the internet on 443 but to no private range", () => {
    const rules =
      policies.get("allow-payments")?.egress?.filter(({ ports }) => ports.some(({ port }) => port === 443)) ??
      [];
    expect(JSON.stringify(rules)).toContain('"10.0.0.0/8"');
    for (const slice of SLICE_NAMES.filter((name) => name !== "payments"))
      expect(JSON.stringify(policies.get(`allow-${slice}`))).not.toContain("443");
  });

  it("reach a database that somebody else runs by its address range", () => {
    const external = { host: "db.example", port: 6432, cidr: "10.20.0.0/24", secretRef: { name: "db" } };
    const built = buildNetworkPolicies(cell({ database: { engine: "PostgreSQL", external } }));
    expect(built.map(({ metadata }) => metadata.name)).not.toContain("allow-database");
    const orders = JSON.stringify(built.find(({ metadata }) => metadata.name === "allow-orders"));
    expect(orders).toContain(
      '{"to":[{"ipBlock":{"cidr":"10.20.0.0/24"}}],"ports":[{"protocol":"TCP","port":6432}]}',
    );
  });

  it("send traces only where a collector is set", () => {
    const traced = cellOf(center(), { ...SETTINGS, otlpEndpoint: "http://otel.tools.svc:4318" }, 7);
    const out = (one: ReturnType<typeof cell>) => JSON.stringify(buildNetworkPolicies(one)).includes("4318");
    expect([out(traced), out(cell())]).toEqual([true, false]);
  });
});

describe("Jobs", () => {
  const name = (spec: Partial<FulfillmentCenterInput>, epoch = 7) =>
    buildProvisionJob(cellOf(center(spec), SETTINGS, epoch)).metadata.name;
  it.each([
    ["image", name({ release: { image: "other" } })],
    ["epoch", name({}, 8)],
    ["partitions", name({ messaging: { partitions: 4 } })],
    ["brokers", name({ messaging: { bootstrapServers: "k:1" } })],
  ])("have another name when the %s changes", (_what, other) => {
    expect(other).not.toBe(name({}));
  });

  it("keep their name when what they do not read changes", () => {
    expect(name({ topology: "Separate", mode: "Draining", capacity: { maxOrdersPerMinute: 3 } })).toBe(
      name({}),
    );
  });

  it("say what they run", () => {
    const args = [buildProvisionJob(cell()), buildFenceJob(cell(), 9), buildRemoveJob(cell())].map(
      (job) => podSpecs([job])[0]?.[1].containers[0]?.args,
    );
    expect(args).toEqual([
      ["cell/main.ts", "provision"],
      ["cell/main.ts", "fence", "--epoch", "9"],
      ["cell/main.ts", "provision", "--remove"],
    ]);
  });
});

describe("stores", () => {
  it("CockroachDB runs three nodes with certificates and joins them", () => {
    expect(buildDatabase(cell({ database: { engine: "CockroachDB" } }))).toMatchSnapshot();
  });

  it("nothing is built for a database that somebody else runs", () => {
    const external = { host: "db.example", cidr: "10.0.0.0/24", secretRef: { name: "db" } };
    expect(buildDatabase(cell({ database: { engine: "PostgreSQL", external } }))).toEqual([]);
  });

  it("Redis never evicts, and without persistence has no volume", () => {
    const [, set] = buildCache(cell({ cache: { persistence: false } }));
    const spec = podSpecs([set!])[0]?.[1];
    expect(spec?.containers[0]?.args.join(" ")).toContain("--maxmemory-policy noeviction");
    expect(set?.spec).not.toHaveProperty("volumeClaimTemplates");
  });
});

describe("services of the spec", () => {
  it("set replicas and resources where they say so, and add up in one process", () => {
    const services = [
      { name: "orders" as const, replicas: 3, resources: { requests: { cpu: "200m", memory: "300Mi" } } },
      { name: "tracking" as const, replicas: 2 },
    ];
    const pick = (object: KubeObject) => {
      const spec = object.spec as {
        replicas: number;
        template: { spec: { containers: { resources: unknown }[] } };
      };
      return [object.metadata.name, spec.replicas, spec.template.spec.containers[0]?.resources];
    };
    const separate = buildSliceDeployments(cell({ topology: "Separate", services }), "x").map(pick);
    expect(separate.filter(([name]) => name === "orders" || name === "tracking")).toEqual([
      ["orders", 3, { requests: { cpu: "200m", memory: "300Mi" }, limits: { memory: "300Mi" } }],
      ["tracking", 2, { requests: { cpu: "30m", memory: "112Mi" }, limits: { memory: "256Mi" } }],
    ]);
    expect(buildSliceDeployments(cell({ services }), "x").map(pick)).toEqual([
      ["cell", 3, { requests: { cpu: "320m", memory: "588Mi" }, limits: { memory: "972Mi" } }],
    ]);
  });
});

describe("Secrets", () => {
  it("hold a password for each slice, all different, and the public keys without the private half", () => {
    let count = 0;
    const secrets = buildSecrets(cell(), {
      existing: {},
      cellKey: CELL_KEY,
      nextCellKey: NEXT_CELL_KEY,
      gatewayKeys: GATEWAY_KEYS,
      random: () => `word${++count}`,
    });
    const decode = (text: string) => Buffer.from(text, "base64").toString();
    const data = Object.fromEntries(
      secrets.map((secret) => [
        secret.metadata.name,
        Object.fromEntries(
          Object.entries(secret.data as Record<string, string>).map(([key, value]) => [key, decode(value)]),
        ),
      ]),
    );
    const passwords = SLICE_NAMES.map((slice) => data.database?.[slice]);
    expect(new Set(passwords).size).toBe(SLICE_NAMES.length);
    expect(data.database?.["admin-url"]).toBe(
      `postgres://postgres:${data.database?.["admin-password"]}@database:5432/cell`,
    );
    expect(JSON.parse(data.trust?.["jwks.json"] ?? "")).toEqual({
      keys: [CELL_KEY.publicJwk, NEXT_CELL_KEY.publicJwk, ...GATEWAY_KEYS],
    });
    expect(data.trust?.["jwks.json"]).not.toMatch(/cell-d|next-d/);
    expect(data.cache?.["users.acl"]).toBe(`user default on ~* &* +@all >${data.cache?.password}\n`);
    expect(data.trust?.["contact-key"]).toBe(`word${count}`);
  });

  const contactKey = (trust: Record<string, string>, cellKey = CELL_KEY) => {
    const inputs = {
      existing: { trust },
      cellKey,
      nextCellKey: NEXT_CELL_KEY,
      gatewayKeys: [],
      random: () => "fresh",
    };
    const trusts = buildSecrets(cell(), inputs).filter(({ metadata }) => metadata.name === "trust");
    const [data] = trusts.map((secret) => secret.data as Record<string, string>);
    return Buffer.from(data?.["contact-key"] ?? "", "base64").toString();
  };

  it("keeps the key of contacts, also when the cell gets another key of its own", () => {
    const key = JSON.stringify(CELL_KEY.privateJwk);
    expect(contactKey({ "contact-key": "first", "cell-key.jwk": key })).toBe("first");
    const other = { ...CELL_KEY, privateJwk: { ...CELL_KEY.privateJwk, d: "other" } };
    expect(contactKey({ "contact-key": "first", "cell-key.jwk": key }, other)).toBe("first");
  });

  it("goes on with what contacts were encrypted under before they had a key of their own", () => {
    const key = JSON.stringify(CELL_KEY.privateJwk);
    expect(contactKey({ "cell-key.jwk": key })).toBe(key);
    expect(contactKey({})).toBe("fresh");
  });
});

describe("quantities", () => {
  it.each([
    ["64Mi", 67_108_864],
    ["1Gi", 1_073_741_824],
    ["5", 5],
    ["2G", 2e9],
  ])("%s is %d bytes", (text, bytes) => expect(parseBytes(text)).toBe(bytes));
  it.each(["", "1.5Gi", "Mi", "-1Gi", "1gi"])("%s is no amount", (text) =>
    expect(() => parseBytes(text)).toThrow(/for example/),
  );
  it("are written as the API server stores them", () => {
    expect([1, 2 ** 30, 1.5 * 2 ** 30, 2 ** 40].map(formatBytes)).toEqual(["1Mi", "1Gi", "1536Mi", "1Ti"]);
    expect([10.2, 1000, 1200].map(formatMillicores)).toEqual(["11m", "1", "1200m"]);
    expect([parseMillicores("2"), parseMillicores("50m")]).toEqual([2000, 50]);
  });
});
