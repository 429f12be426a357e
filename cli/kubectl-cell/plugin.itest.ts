import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { VIEWER_GRANTS } from "../../operator/access.ts";
import type { FulfillmentCenter } from "../../operator/api/fulfillment-center.ts";
import { API_VERSION, FULFILLMENT_CENTER, ROUTING_TABLE } from "../../operator/api/names.ts";
import { CELL_KINDS } from "../../operator/stores.ts";
import {
  connectTestCluster,
  must,
  type TestCluster,
  uniqueName,
  until,
} from "../../operator/testing/cluster.ts";
import { startTestOperator, type TestOperator } from "../../operator/testing/operator.ts";
import { type CellRuntime, startCellRuntime } from "../../operator/testing/runtime.ts";
import { KINDS } from "../../platform/kube/kinds.ts";
import { findCondition, type KubeObject } from "../../platform/kube/objects.ts";
import { toYaml } from "../../platform/yaml.ts";
import type { CenterPlan } from "./plan.ts";
import { runCommand } from "./run.ts";

/** The operator's environment, as its Deployment says it: the same that the test operator runs with. */
const ENVIRONMENT = {
  CELL_IMAGE: "registry.example/cell:1",
  POSTGRES_IMAGE: "registry.example/postgres:17",
  REDIS_IMAGE: "registry.example/redis:8",
  KAFKA_BROKERS: "kafka.fulfillment-cells.svc:9092",
  KAFKA_REPLICAS: "1",
  PSP_URL: "http://psp-sandbox.fulfillment-cells.svc:8090",
  PSP_NAMESPACE: "fulfillment-cells",
  GATEWAY_NAMESPACE: "fulfillment-cells",
};
const dir = mkdtempSync(join(tmpdir(), "kubectl-cell-"));
const region = uniqueName("region");
const name = uniqueName("it");
let cluster: TestCluster;
let runtime: CellRuntime;
let operator: TestOperator;

beforeAll(async () => {
  cluster = await connectTestCluster();
  runtime = startCellRuntime(cluster.client);
  operator = await startTestOperator(cluster);
  for (const program of ["kubectl-cell", "kubectl_complete-cell"])
    symlinkSync(join(import.meta.dirname, program), join(dir, program));
  must(await cluster.client.create(KINDS.deployment, operatorDeployment()));
  await makeVolumes();
});
afterAll(async () => {
  await operator?.stop();
  await runtime?.stop();
  await cluster?.client.remove(FULFILLMENT_CENTER, { name });
  await cluster?.client.patch(FULFILLMENT_CENTER, { name }, { metadata: { finalizers: null } });
  await cluster?.client.remove(KINDS.namespace, { name: `cell-${name}` });
  await cluster?.client.remove(ROUTING_TABLE, { name: region });
  for (const claim of ["data-database-0", "data-cache-0"])
    await cluster?.client.remove(VOLUME, { name: `${claim}-${name}` });
  await cluster?.client.remove(STORAGE_CLASS, { name: storageClassName });
  await cluster?.close();
  rmSync(dir, { recursive: true, force: true });
});

interface Answer {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs the real kubectl, which finds the plugin on PATH. */
function kubectl(words: readonly string[], input = "", env: Record<string, string> = {}): Promise<Answer> {
  const program = process.env.TEST_KUBECTL;
  if (program === undefined) throw new Error("set TEST_KUBECTL to a kubectl");
  return new Promise((done) => {
    const child = execFile(
      program,
      words,
      {
        env: {
          ...process.env,
          PATH: `${dir}${delimiter}${process.env.PATH}`,
          KUBECONFIG: process.env.TEST_KUBECONFIG ?? "",
          ...env,
        },
        timeout: 60_000,
      },
      (error, out, err) => done({ code: error === null ? 0 : Number(error.code), out, err }),
    );
    child.stdin?.end(input);
  });
}

/** The plugin in this process, with nobody at the terminal: what kubectl adds to it is tested at the end. */
async function cell(words: readonly string[], input?: string): Promise<Answer> {
  const [out, err]: [string[], string[]] = [[], []];
  const file = join(dir, "input.yaml");
  if (input !== undefined) writeFileSync(file, input);
  const terminal = { columns: 110, colours: false, canAsk: false, confirm: () => Promise.resolve(false) };
  const own = words.includes("--kubeconfig") ? [] : ["--kubeconfig", process.env.TEST_KUBECONFIG ?? ""];
  const given = [...words.map((word) => (word === "-" ? file : word)), ...own];
  const code = await runCommand(given, {
    ...terminal,
    print: (text) => void out.push(`${text}\n`),
    note: (text) => void err.push(`${text}\n`),
  });
  return { code, out: out.join(""), err: err.join("") };
}

function operatorDeployment(): KubeObject {
  const labels = { "app.kubernetes.io/name": "fulfillment-cells" };
  const env = Object.entries(ENVIRONMENT).map(([key, value]) => ({ name: key, value }));
  const container = { name: "operator", image: "none", args: ["operator/main.ts"], env };
  return {
    ...{ apiVersion: "apps/v1", kind: "Deployment" },
    metadata: { name: "operator", namespace: cluster.namespace, labels },
    spec: {
      replicas: 0,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [container] } },
    },
  };
}

/** Grows once, in the test of that. */
let storage = "1Gi";
const storageClassName = uniqueName("growing");
const baseSpec = (): Record<string, unknown> => ({
  region,
  location: { latitude: "37.5663", longitude: "126.9018" },
  coverage: { radiusMeters: 8000 },
  database: { engine: "PostgreSQL", storage, storageClassName },
  deletion: { policy: "Delete" },
});

/** Volumes that the claims bind to, and that may grow: there is no provisioner here. */
async function makeVolumes(): Promise<void> {
  const provisioner = { provisioner: "kubernetes.io/no-provisioner", allowVolumeExpansion: true };
  const metadata = { name: storageClassName };
  must(
    await cluster.client.create(STORAGE_CLASS, {
      ...{ apiVersion: "storage.k8s.io/v1", kind: "StorageClass", metadata },
      ...provisioner,
    }),
  );
  for (const claim of ["data-database-0", "data-cache-0"])
    must(
      await cluster.client.create(VOLUME, {
        ...{ apiVersion: "v1", kind: "PersistentVolume", metadata: { name: `${claim}-${name}` } },
        spec: {
          storageClassName,
          capacity: { storage: "4Gi" },
          accessModes: ["ReadWriteOnce"],
          hostPath: { path: "/nowhere" },
          claimRef: { namespace: `cell-${name}`, name: claim },
        },
      }),
    );
}
const clusterWide = (group: string, plural: string, kind: string) => ({
  ...{ group, version: "v1", plural, kind, namespaced: false },
});
const STORAGE_CLASS = clusterWide("storage.k8s.io", "storageclasses", "StorageClass");
const VOLUME = clusterWide("", "persistentvolumes", "PersistentVolume");
const manifest = (spec: Record<string, unknown>) =>
  toYaml({
    apiVersion: API_VERSION,
    kind: "FulfillmentCenter",
    metadata: { name },
    spec: { ...baseSpec(), ...spec },
  });

async function read(): Promise<FulfillmentCenter | undefined> {
  const found = await cluster.client.get<FulfillmentCenter>(FULFILLMENT_CENTER, { name });
  return found.ok ? found.value : undefined;
}

async function settled(): Promise<void> {
  await until(`${name} is Ready`, async () => {
    const fc = await read();
    const ready = findCondition(fc?.status?.conditions, "Ready");
    return ready?.status === "True" && ready.observedGeneration === fc?.metadata.generation;
  }).catch(async (error: Error) => {
    throw new Error(`${error.message}: ${JSON.stringify((await read())?.status)}`);
  });
  // What is superseded is pruned after the center is Ready; then two looks a moment apart find the same.
  let last = "";
  await until("nothing moves any more", async () => {
    const now = JSON.stringify([...(await snapshot())]);
    const same = now === last;
    last = now;
    if (!same) await new Promise((resolve) => setTimeout(resolve, 700));
    return same;
  });
}

/** Spec or data of every object of the cell, by kind and name. */
async function snapshot(): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const kinds = [...CELL_KINDS, KINDS.persistentVolumeClaim];
  const lists = await Promise.all(
    kinds.map((ref) => cluster.client.list(ref, { namespace: `cell-${name}` })),
  );
  for (const list of lists)
    for (const { kind, metadata, spec, data } of must(list).items)
      if (metadata.labels?.["app.kubernetes.io/managed-by"] === "fulfillment-cells")
        found.set(`${kind}/${metadata.name}`, JSON.stringify([spec, data]));
  return found;
}

/** What happened between two snapshots. */
function happened(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  return [
    ...[...after].filter(([id]) => !before.has(id)).map(([id]) => `create ${id}`),
    ...[...after]
      .filter(([id, text]) => before.has(id) && before.get(id) !== text)
      .map(([id]) => `change ${id}`),
    ...[...before.keys()].filter((id) => !after.has(id)).map((id) => `delete ${id}`),
  ].sort();
}

/** Epochs are drawn at the time of the change, and are part of what a Job's name is made from. */
const epochless = (lines: readonly string[]) =>
  [...new Set(lines.map((line) => line.replace(/(Job\/(?:provision|fence))-[0-9a-f]{10}$/, "$1")))].sort();
const foretold = ({ preview }: CenterPlan) =>
  preview.changes
    .filter(({ kind }) => kind !== "Namespace")
    .map(({ action, kind, name: object }) => `${action} ${kind}/${object}`)
    .sort();

async function planned(text: string, more: readonly string[] = []): Promise<CenterPlan> {
  const { code, out, err } = await cell(
    ["plan", "-f", "-", "-o", "json", "--operator-namespace", cluster.namespace, ...more],
    text,
  );
  if (code !== 0) throw new Error(err);
  return (JSON.parse(out) as { plans: CenterPlan[] }).plans[0]!;
}

describe("kubectl cell plan", () => {
  it("foretells a new center, and the operator then makes exactly that", async () => {
    const plan = await planned(manifest({}));
    expect(await read()).toBeUndefined();
    expect(plan).toMatchObject({ center: name, action: "create", notes: [] });
    expect((await kubectl(["apply", "-f", "-"], manifest({}))).err).toBe("");
    await settled();
    const made = happened(new Map(), await snapshot()).filter(
      (line) => !line.includes("PersistentVolumeClaim"),
    );
    expect(epochless(foretold(plan))).toEqual(epochless(made));
  });

  it.each<[string, Record<string, unknown>, "exact" | "epochless"]>([
    ["nothing", {}, "exact"],
    ["another image", { release: { image: "registry.example/cell:2" } }, "exact"],
    ["two pods of a service", { services: [{ name: "orders", replicas: 2 }] }, "exact"],
    [
      "more memory of a service",
      { services: [{ name: "orders", resources: { requests: { memory: "300Mi" } } }] },
      "exact",
    ],
    ["the other topology", { topology: "Separate" }, "exact"],
    [
      "another currency, in seven Deployments",
      { topology: "Separate", market: { currency: "JPY" } },
      "exact",
    ],
    ["more of the cache, with its volume", { cache: { memory: "128Mi" } }, "exact"],
    ["draining", { mode: "Draining" }, "exact"],
    ["fencing", { mode: "Fenced" }, "epochless"],
    ["its end", {}, "epochless"],
  ])("foretells %s", async (_title, spec, precision) => {
    await settled();
    const before = await snapshot();
    const plan = await planned(manifest(spec));
    expect(plan.preview.pending).toEqual([]);
    expect((await kubectl(["apply", "-f", "-"], manifest(spec))).err).toBe("");
    await settled();
    const done = happened(before, await snapshot());
    const exact = precision === "exact";
    expect(exact ? foretold(plan) : epochless(foretold(plan))).toEqual(exact ? done : epochless(done));
    console.log(`${_title}: ${done.length} changes foretold, ${done.length} made`);
  });

  it("foretells more storage: the claim grows, and nothing restarts", async () => {
    await settled();
    const before = await snapshot();
    storage = "2Gi";
    const plan = await planned(manifest({}));
    expect((await kubectl(["apply", "-f", "-"], manifest({}))).err).toBe("");
    await settled();
    expect(foretold(plan)).toEqual(happened(before, await snapshot()));
    expect(foretold(plan)).toContain("change PersistentVolumeClaim/data-database-0");
    expect(plan.preview.steps.flatMap(({ effects }) => effects.map(({ what }) => what))).toEqual(["grow"]);
  });

  it("refuses what the API server refuses, with its sentence, and exits with 1", async () => {
    const { code, out, err } = await cell(
      ["plan", "-f", "-"],
      manifest({ region: "elsewhere", database: { engine: "PostgreSQL", storage: "512Mi" } }),
    );
    expect([code, out]).toEqual([1, ""]);
    expect(err).toContain("region cannot be changed: make a new center instead");
    expect(err).toContain("database.storage only grows: volumes cannot shrink");
  });

  it("exits like a diff when asked to", async () => {
    const same = manifest({});
    const other = manifest({ topology: "Separate" });
    const at = ["plan", "--exit-code", "--operator-namespace", cluster.namespace, "-f", "-"];
    expect([(await cell(at, same)).code, (await cell(at, other)).code]).toEqual([0, 2]);
    expect((await cell(at.slice(0, 1).concat(at.slice(2)), other)).code).toBe(0);
  });

  it("tells what a deletion keeps and loses, and deletes nothing", async () => {
    const { code, out } = await cell(["plan", "--delete", name]);
    expect(code).toBe(0);
    expect(out).toMatch(/lost: {3}Namespace\/cell-it-.*PersistentVolumeClaim\/data-database-0/s);
    expect((await read())?.metadata.deletionTimestamp).toBeUndefined();
  });

  it("shows no value of a Secret", async () => {
    const secrets = must(await cluster.client.list(KINDS.secret, { namespace: `cell-${name}` })).items;
    const values = secrets.flatMap(({ data }) => Object.values((data ?? {}) as Record<string, string>));
    const { out } = await cell(["plan", "--delete", name, "-o", "json"]);
    expect(values.length).toBeGreaterThan(5);
    for (const value of values) {
      expect(out).not.toContain(value);
      expect(out).not.toContain(Buffer.from(value, "base64").toString());
    }
  });
});

describe("kubectl cell status", () => {
  it("fits one screen and ends with the next step", async () => {
    await settled();
    const { code, out } = await cell(["status", name]);
    expect(code).toBe(0);
    expect(out.split("\n").length).toBeLessThan(40);
    expect(out).toMatch(/Ready .*mode Active .*\nThe cell runs as its spec asks\./);
    expect(out).toMatch(/Routing +Active, weight 100/);
    expect(out).toContain("Events");
    expect(out.trimEnd().split("\n").slice(-2)).toEqual([
      "Next: nothing to do. Before a change, look at what it will do.",
      "  kubectl cell plan -f FILE",
    ]);
    expect(out).not.toContain("\u001b[");
  });

  it("lists all centers, and suggests a name that is near", async () => {
    expect((await cell(["status"])).out).toMatch(new RegExp(`NAME .*\\n[^]*${name} +Ready`));
    const { code, err } = await cell(["status", `${name}x`]);
    expect([code, err.trim()]).toEqual([1, expect.stringContaining(`did you mean ${name}`)]);
  });

  it("is JSON for programs", async () => {
    const report = JSON.parse((await cell(["status", name, "-o", "json"])).out) as Record<string, unknown>;
    expect(report).toMatchObject({ name, phase: "Ready", region, routing: { mode: "Active", weight: 100 } });
  });
});

describe("kubectl cell drain, fence and activate", () => {
  it("ask before they change anything, and say so when nobody is there", async () => {
    const { code, err } = await cell(["fence", name]);
    expect(code).toBe(1);
    expect(err).toContain("say --yes. Nothing was changed.");
    expect((await read())?.spec.mode).toBe("Active");
  });

  it("follow a fence to its end, and back", async () => {
    const fenced = await cell(["fence", name, "--wait", "--yes", "--timeout", "50s"]);
    expect([fenced.code, (await read())?.status?.phase]).toEqual([0, "Fenced"]);
    expect(fenced.err).toContain("no other center of region");
    expect(fenced.out).toContain(`kubectl cell activate ${name}`);
    const active = await cell(["activate", name, "--wait", "--yes", "--timeout", "50s"]);
    expect([active.code, (await read())?.status?.phase]).toEqual([0, "Ready"]);
  });

  it("drain, and say where they would be set back from", async () => {
    must(
      await cluster.client.apply(
        FULFILLMENT_CENTER,
        { apiVersion: API_VERSION, kind: "FulfillmentCenter", metadata: { name }, spec: { mode: "Active" } },
        { fieldManager: "kustomize-controller" },
      ),
    );
    const { code, err } = await cell(["drain", name, "--yes"]);
    expect(code).toBe(0);
    expect(err).toContain("Warning: kustomize-controller sets spec.mode of this center");
    await until("no orders are sent to it", async () => {
      const table = await cluster.client.get(ROUTING_TABLE, { name: region });
      return table.ok && JSON.stringify(table.value.spec).includes('"weight":0');
    });
    expect((await cell(["undrain", name, "--wait", "--yes", "--timeout", "50s"])).code).toBe(0);
  });

  it("give up after --timeout with an exit code of their own, without taking anything back", async () => {
    runtime.answers.set("fence", {
      ok: false,
      reason: "DatabaseUnreachable",
      message: "It does not answer.",
    });
    const { code, out } = await cell(["fence", name, "--wait", "--yes", "--timeout", "3s"]);
    expect([code, (await read())?.spec.mode]).toEqual([3, "Fenced"]);
    expect(out).toContain(`kubectl cell status ${name}`);
    runtime.answers.clear();
    must(await cluster.client.patch(FULFILLMENT_CENTER, { name }, { spec: { mode: "Active" } }));
    await settled();
  });
});

describe("with rights to read only", () => {
  const account = uniqueName("viewer");
  let kubeconfig = "";

  beforeAll(async () => {
    must(
      await cluster.client.create(KINDS.serviceAccount, {
        ...object("v1", "ServiceAccount"),
        metadata: { name: account, namespace: cluster.namespace },
      }),
    );
    const rules = VIEWER_GRANTS.map(({ ref, verbs }) => ({
      apiGroups: [ref.group],
      resources: [ref.plural],
      verbs,
    }));
    must(
      await cluster.client.create(KINDS.clusterRole, {
        ...object("rbac.authorization.k8s.io/v1", "ClusterRole"),
        metadata: { name: account },
        rules,
      }),
    );
    must(
      await cluster.client.create(KINDS.clusterRoleBinding, {
        ...object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
        metadata: { name: account },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: account },
        subjects: [{ kind: "ServiceAccount", name: account, namespace: cluster.namespace }],
      }),
    );
    const token = (await kubectl(["--namespace", cluster.namespace, "create", "token", account])).out.trim();
    const view = await kubectl(["config", "view", "--raw", "--minify", "--output=json"]);
    const { clusters } = JSON.parse(view.out) as { clusters: { name: string }[] };
    const context = { name: "reader", context: { cluster: clusters[0]?.name, user: "reader" } };
    const user = { name: "reader", user: { token } };
    kubeconfig = join(dir, "reader.kubeconfig");
    writeFileSync(
      kubeconfig,
      JSON.stringify({ apiVersion: "v1", kind: "Config", clusters, contexts: [context], users: [user] }),
    );
  });
  afterAll(async () => {
    await cluster.client.remove(KINDS.clusterRoleBinding, { name: account });
    await cluster.client.remove(KINDS.clusterRole, { name: account });
  });
  const object = (apiVersion: string, kind: string) => ({ apiVersion, kind });
  const asReader = (words: readonly string[], input?: string) =>
    cell([...words, "--kubeconfig", kubeconfig, "--context", "reader"], input);

  it("tells the same plan without a look into any Secret, and what it had to assume", async () => {
    await settled();
    const text = manifest({ topology: "Separate", release: { image: "registry.example/cell:3" } });
    const known = await planned(text);
    const { code, out, err } = await asReader(
      ["plan", "-f", "-", "-o", "json", "--operator-namespace", cluster.namespace],
      text,
    );
    expect([code, err]).toEqual([0, ""]);
    const blind = (JSON.parse(out) as { plans: CenterPlan[] }).plans[0]!;
    expect(blind.preview.changes).toEqual(known.preview.changes);
    expect(blind.preview.steps).toEqual(known.preview.steps);
    expect(blind.notes).toEqual([
      expect.stringContaining("You may not write FulfillmentCenters"),
      expect.stringContaining("You may not read secrets"),
    ]);
  });

  it("refuses a bad value by the schema that the CRD is made from", async () => {
    const { code, err } = await asReader(["plan", "-f", "-"], manifest({ coverage: { radiusMeters: 1 } }));
    expect(code).toBe(1);
    expect(err).toContain("spec.coverage.radiusMeters");
  });

  it("shows the whole status", async () => {
    const { code, out } = await asReader(["status", name]);
    expect(code).toBe(0);
    expect(out).toMatch(/Routing +Active, weight 100/);
    expect(out).toContain("Events");
  });

  it("may not drain, and is told which right is missing", async () => {
    const { code, err } = await asReader(["drain", name, "--yes"]);
    expect(code).toBe(1);
    expect(err).toMatch(/You may not change the mode of .*cannot patch resource "fulfillmentcenters"/);
  });
});

describe("kubectl", () => {
  it("finds the plugin on PATH and passes on words, input and exit codes", async () => {
    const { code, out, err } = await kubectl(
      ["cell", "plan", "-f", "-", "--exit-code"],
      manifest({ mode: "Draining" }),
    );
    expect([code, err]).toEqual([2, ""]);
    expect(out).toContain("spec.mode: Active → Draining");
    expect((await kubectl(["plugin", "list"])).out).toContain(join(dir, "kubectl-cell"));
    const refused = await kubectl(["cell", "frobnicate"]);
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('no command "frobnicate"')]);
  });

  it("completes words and the names of centers", async () => {
    expect((await kubectl(["__complete", "cell", "dr"])).out).toMatch(/^drain\n:4/);
    expect((await kubectl(["__complete", "cell", "status", name.slice(0, -2)])).out).toContain(`${name}\n:4`);
  });

  it("is told which cluster by --kubeconfig, --context and KUBECONFIG, and a wrong one in a sentence", async () => {
    const nowhere = join(dir, "nowhere.kubeconfig");
    const config = {
      ...{ apiVersion: "v1", kind: "Config", "current-context": "away" },
      clusters: [{ name: "away", cluster: { server: "https://127.0.0.1:9" } }],
      contexts: [{ name: "away", context: { cluster: "away", user: "away" } }],
      users: [{ name: "away", user: { token: "none" } }],
    };
    writeFileSync(nowhere, JSON.stringify(config));
    const unreachable = /https:\/\/127.0.0.1:9 cannot be reached .*check --context/;
    const away = await kubectl(["cell", "status"], "", { KUBECONFIG: nowhere });
    expect([away.code, away.err]).toEqual([1, expect.stringMatching(unreachable)]);
    const both = { KUBECONFIG: `${process.env.TEST_KUBECONFIG}${delimiter}${nowhere}` };
    expect((await kubectl(["cell", "status", name], "", both)).code).toBe(0);
    expect((await kubectl(["cell", "status", "--context", "away"], "", both)).err).toMatch(unreachable);
    expect((await cell(["status", "--context", "none"])).err).toContain('no cluster for context "none"');
  });
});
