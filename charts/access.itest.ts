import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ApiServer, startApiServer } from "../local/cluster/apiserver.ts";
import { ensureBinaries } from "../local/cluster/binaries.ts";
import { run } from "../local/cluster/command.ts";
import { silentReport } from "../local/cluster/report.ts";
import {
  CLUSTER_GRANTS,
  EVENT_GRANTS,
  EVENT_NAMESPACE,
  gatewayGrants,
  NAMESPACE_GRANTS,
  VIEWER_GRANTS,
} from "../operator/access.ts";
import type { FulfillmentCenter } from "../operator/api/fulfillment-center.ts";
import { API_VERSION, FULFILLMENT_CENTER, ROUTING_TABLE } from "../operator/api/names.ts";
import { newCenter } from "../operator/testing/center.ts";
import { connectTestCluster, must, type TestCluster, until } from "../operator/testing/cluster.ts";
import { startTestOperator } from "../operator/testing/operator.ts";
import { startCellRuntime } from "../operator/testing/runtime.ts";
import { createKubeClient, type KubeClient } from "../platform/kube/client.ts";
import { loadClusterConfig } from "../platform/kube/config.ts";
import { createInformer } from "../platform/kube/informer.ts";
import { KINDS } from "../platform/kube/kinds.ts";
import { findCondition, type KubeObject } from "../platform/kube/objects.ts";
import { silentLog, silentMetrics } from "../platform/kube/ports.ts";
import { CHART, helm, LOCAL, PRODUCTION, pick, RELEASE, renderChart, valueWords } from "./testing/chart.ts";
import { dangersOf, grantedBy, neededBy, rulesOf } from "./testing/rbac.ts";

const REGION = "kr-seoul";

describe("the roles of the chart", () => {
  const roles = async () => {
    const objects = await renderChart({ values: LOCAL, local: true });
    return objects.filter(({ kind }) => kind === "ClusterRole" || kind === "Role");
  };
  const role = async (kind: string, name: string) => pick(await roles(), kind, name);

  it.each([
    ["ClusterRole", `${RELEASE}-operator`, "the whole cluster", CLUSTER_GRANTS],
    ["Role", "operator-lease", "its own namespace", NAMESPACE_GRANTS],
    ["Role", `${RELEASE}-operator-events`, "the namespace of events", EVENT_GRANTS],
    ["ClusterRole", `${RELEASE}-gateway`, "the gateway", gatewayGrants(REGION)],
    ["ClusterRole", `${RELEASE}-viewer`, "people who look", VIEWER_GRANTS],
  ] as const)(
    "%s %s grants what the code says it needs in %s, no more and no less",
    async (kind, name, _where, grants) => {
      expect(grantedBy(rulesOf(await role(kind, name)))).toEqual(neededBy(grants));
    },
  );

  it("are these five, bound to the operator and the gateway alone, and one to nobody", async () => {
    const objects = await renderChart({ values: LOCAL, local: true, namespace: "elsewhere" });
    const bindings = objects
      .filter(({ kind }) => kind.endsWith("RoleBinding"))
      .map(({ metadata, roleRef, subjects }) => {
        const { kind, name } = roleRef as { kind: string; name: string };
        const who = (subjects as { kind: string; namespace: string; name: string }[]).map(
          (subject) => `${subject.kind} ${subject.namespace}/${subject.name}`,
        );
        return `${metadata.namespace ?? "*"}: ${kind} ${name} -> ${who.join()}`;
      });
    expect(bindings.sort()).toEqual([
      `*: ClusterRole ${RELEASE}-gateway -> ServiceAccount elsewhere/gateway`,
      `*: ClusterRole ${RELEASE}-operator -> ServiceAccount elsewhere/operator`,
      `${EVENT_NAMESPACE}: Role ${RELEASE}-operator-events -> ServiceAccount elsewhere/operator`,
      "elsewhere: Role operator-lease -> ServiceAccount elsewhere/operator",
    ]);
    expect(await roles()).toHaveLength(5);
  });

  it("grant no wildcard and no way to more rights", async () => {
    for (const one of await roles()) expect(dangersOf(one)).toEqual([]);
  });

  it("read and write Secrets without removing any, in every namespace because cells come and go", async () => {
    const verbs = (await roles()).flatMap((one) =>
      grantedBy(rulesOf(one)).filter((line) => line.startsWith("/secrets")),
    );
    expect(verbs).toEqual(["/secrets create", "/secrets list", "/secrets patch", "/secrets watch"]);
  });

  it.each<[string, object, string]>([
    ["a wildcard verb", { apiGroups: [""], resources: ["pods"], verbs: ["*"] }, "grants the wildcard *"],
    [
      "a wildcard resource",
      { apiGroups: ["apps"], resources: ["*"], verbs: ["get"] },
      "grants the wildcard *",
    ],
    [
      "handing out rights",
      { apiGroups: ["rbac.authorization.k8s.io"], resources: ["roles"], verbs: ["bind"] },
      "grants bind",
    ],
    [
      "a shell in a pod",
      { apiGroups: [""], resources: ["pods/exec"], verbs: ["create"] },
      "reaches pods/exec",
    ],
    [
      "tokens of others",
      { apiGroups: [""], resources: ["serviceaccounts/token"], verbs: ["create"] },
      "reaches serviceaccounts/token",
    ],
  ])("would be refused here with %s", async (_title, rule, sentence) => {
    const planted = await role("ClusterRole", `${RELEASE}-operator`);
    const faulty = { ...planted, rules: [...rulesOf(planted), rule] };
    expect(dangersOf(faulty).join()).toContain(sentence);
    expect(grantedBy(rulesOf(faulty))).not.toEqual(neededBy(CLUSTER_GRANTS));
  });
});

describe("an installation on an API server of its own", () => {
  const NAMESPACE = "fulfillment-cells";
  const CLASS = "growing";
  const dir = mkdtempSync(join(tmpdir(), "chart-access-"));
  let server: ApiServer;
  let admin: TestCluster;
  let operatorConfig: TestCluster["config"];
  let operatorClient: KubeClient;
  let gatewayClient: KubeClient;

  beforeAll(async () => {
    server = await startApiServer({ dir: join(dir, "server"), report: silentReport(), auditLog: true });
    const { kubectl } = await ensureBinaries(silentReport());
    const env = { KUBECONFIG: server.kubeconfigPath };
    admin = await connectTestCluster(server.kubeconfigPath);
    const words = ["install", RELEASE, CHART, "--namespace", NAMESPACE, "--create-namespace", "--skip-crds"];
    const answer = await helm([...words, ...valueWords({ values: PRODUCTION })], env);
    expect(answer).toMatchObject({ ok: true });
    /** A connection as one of the chart's identities. */
    const actAs = async (account: string) => {
      const options = { env: { ...process.env, ...env } };
      const token = await run([kubectl, "--namespace", NAMESPACE, "create", "token", account], options);
      const path = join(dir, `${account}.kubeconfig`);
      const { clusters } = JSON.parse(
        await run([kubectl, "config", "view", "--raw", "--minify", "--output=json"], options),
      );
      const context = { name: account, context: { cluster: clusters[0].name, user: account } };
      const user = { name: account, user: { token: token.trim() } };
      const config = { apiVersion: "v1", kind: "Config", "current-context": account };
      writeFileSync(path, JSON.stringify({ ...config, clusters, contexts: [context], users: [user] }));
      const loaded = await loadClusterConfig({ kubeconfigPath: path });
      if (!loaded.ok) throw new Error(loaded.message);
      const names = { userAgent: account, fieldManager: account };
      return {
        config: loaded.config,
        client: createKubeClient(loaded.config, { log: silentLog, metrics: silentMetrics, ...names }),
      };
    };
    const operator = await actAs("operator");
    operatorConfig = operator.config;
    operatorClient = operator.client;
    gatewayClient = (await actAs("gateway")).client;
  });
  afterAll(async () => {
    await operatorClient?.close();
    await gatewayClient?.close();
    await admin?.close();
    await server?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  interface Request {
    verb: string;
    user: { username: string };
    objectRef?: {
      apiGroup?: string;
      resource?: string;
      subresource?: string;
      namespace?: string;
      name?: string;
    };
    responseStatus?: { code: number };
  }
  const requestsOf = (account: string): Request[] =>
    readFileSync(server.auditLogPath, "utf8")
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Request)
      .filter(({ user }) => user.username === `system:serviceaccount:${NAMESPACE}:${account}`);

  const refusals = () =>
    requestsOf("operator")
      .filter(({ responseStatus }) => responseStatus?.code === 403)
      .map(({ verb, objectRef }) => `${verb} ${JSON.stringify(objectRef)}`);

  it("lets the operator live a center's whole life with its own rights, and each of them is used", async () => {
    const runtime = startCellRuntime(admin.client);
    const operator = await startTestOperator({ ...admin, config: operatorConfig, namespace: NAMESPACE });
    const read = async (name: string) => {
      const found = await admin.client.get<FulfillmentCenter>(FULFILLMENT_CENTER, { name });
      return found.ok ? found.value : undefined;
    };
    const ready = (name: string) =>
      until(`${name} is Ready`, async () => {
        const fc = await read(name);
        const condition = findCondition(fc?.status?.conditions, "Ready");
        return condition?.status === "True" && condition.observedGeneration === fc?.metadata.generation;
      }).catch(async (error: Error) => {
        throw new Error(
          `${error.message}: ${refusals().join("; ")} ${JSON.stringify((await read(name))?.status)}`,
        );
      });
    const change = async (name: string, spec: object) =>
      must(await admin.client.patch(FULFILLMENT_CENTER, { name }, { spec }));
    await makeVolume("cell-one");
    for (const [name, topology] of [
      ["one", "Separate"],
      ["two", "Compact"],
    ] as const) {
      must(await admin.client.create(FULFILLMENT_CENTER, centerObject(name, topology)));
    }
    await ready("one");
    await ready("two");
    await until("the volume is bound", async () => {
      const claim = must(
        await admin.client.get(KINDS.persistentVolumeClaim, {
          name: "data-database-0",
          namespace: "cell-one",
        }),
      );
      return (claim.status as { phase?: string } | undefined)?.phase === "Bound";
    });
    // Larger volumes, fewer objects, a fence; then both ways of leaving.
    await change("one", { topology: "Compact", database: { storage: "2Gi" } });
    await ready("one");
    await until("what nothing wants is gone", async () => {
      const old = await admin.client.get(KINDS.deployment, { name: "tracking", namespace: "cell-one" });
      return !old.ok && old.code === "notFound";
    });
    await change("two", { deletion: { policy: "Retain" } });
    for (const name of ["one", "two"]) must(await admin.client.remove(FULFILLMENT_CENTER, { name }));
    for (const name of ["one", "two"])
      await until(`${name} is gone`, async () => (await read(name)) === undefined);
    await operator.stop();
    await runtime.stop();

    const asked = requestsOf("operator").filter(({ objectRef }) => objectRef?.resource !== undefined);
    expect(refusals()).toEqual([]);
    const used = new Set(asked.flatMap(rightsOf));
    const granted = [...CLUSTER_GRANTS, ...NAMESPACE_GRANTS, ...EVENT_GRANTS].flatMap((grant) =>
      grant.verbs.map((verb) =>
        [
          grant.ref.group,
          "/",
          grant.ref.plural,
          grant.subresource ? `/${grant.subresource}` : "",
          " ",
          verb,
        ].join(""),
      ),
    );
    expect([...used].filter((one) => !granted.includes(one)).sort()).toEqual([]);
    // First lists are streamed over the watch, and what is absent is created: the rights to list and to patch are for
    // servers that cannot stream, and for what somebody has changed.
    const instead = (one: string) =>
      used.has(one.replace(/ list$/, " watch")) || used.has(one.replace(/ patch$/, " create"));
    expect(granted.filter((one) => !used.has(one) && !instead(one) && !RARE.has(one)).sort()).toEqual([]);
  });

  it("lets the gateway follow the table of its region, and no other", async () => {
    const follow = async (region: string) => {
      const fieldSelector = `metadata.name=${region}`;
      const listed = await gatewayClient.list(ROUTING_TABLE, { fieldSelector });
      return listed.ok ? "ok" : listed.code;
    };
    expect(await follow(REGION)).toBe("ok");
    expect(await follow("kr-busan")).toBe("forbidden");
    const stop = new AbortController();
    const shared = { log: silentLog, metrics: silentMetrics, fieldSelector: `metadata.name=${REGION}` };
    const informer = createInformer({ client: gatewayClient, ref: ROUTING_TABLE, ...shared });
    const following = informer.run(stop.signal);
    const table = { apiVersion: API_VERSION, kind: "RoutingTable", metadata: { name: REGION } };
    must(
      await admin.client.apply(
        ROUTING_TABLE,
        { ...table, spec: { version: 99, cells: [] } },
        { force: true },
      ),
    );
    await until("the gateway sees the table", () => informer.store.get(REGION) !== undefined);
    stop.abort();
    await following;
    const secrets = await gatewayClient.list(KINDS.secret, { namespace: NAMESPACE });
    expect(secrets).toMatchObject({ ok: false, code: "forbidden" });
  });

  it("keeps the operator out of namespaces that are no cells, and from making one of them a cell", async () => {
    const secret = (namespace: string): KubeObject => ({
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "planted", namespace },
    });
    const labels = { "app.kubernetes.io/managed-by": "fulfillment-cells" };
    const namespace = (name: string): KubeObject => ({
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name, labels },
    });
    const sentence = (text: string) => ({ ok: false, message: expect.stringContaining(text) });
    // A policy is in force a moment after it was made.
    await until("the policies are in force", async () => {
      const made = await operatorClient.create(KINDS.secret, secret("kube-public"));
      return !made.ok && made.message.includes("writes only in the namespaces of its cells");
    });
    expect(await operatorClient.create(KINDS.namespace, namespace("elsewhere"))).toEqual(
      expect.objectContaining(sentence("makes namespaces named cell-…")),
    );
    expect(
      await operatorClient.patch(KINDS.namespace, { name: "kube-public" }, { metadata: { labels } }),
    ).toEqual(expect.objectContaining(sentence("changes those that it made")));
    expect(await operatorClient.remove(KINDS.namespace, { name: NAMESPACE })).toEqual(
      expect.objectContaining(sentence("changes those that it made")),
    );
    must(await operatorClient.create(KINDS.namespace, namespace("cell-three")));
    must(await operatorClient.create(KINDS.secret, secret("cell-three")));
  });

  it("keeps people from deleting a cell's namespace under its center", async () => {
    const name = "cell-four";
    const labels = {
      "app.kubernetes.io/managed-by": "fulfillment-cells",
      "cells.fulfillment.io/owner": "7d1f0c52-0000-4000-8000-000000000001",
    };
    must(
      await operatorClient.create(KINDS.namespace, {
        apiVersion: "v1",
        kind: "Namespace",
        metadata: { name, labels },
      }),
    );
    expect(await admin.client.remove(KINDS.namespace, { name })).toMatchObject({
      ok: false,
      message: expect.stringContaining("Delete the FulfillmentCenter instead"),
    });
    must(await operatorClient.remove(KINDS.namespace, { name }));
  });

  /** A volume that a claim of the cell's database binds to, and that may grow: there is no provisioner here. */
  async function makeVolume(namespace: string): Promise<void> {
    const cluster = (group: string, plural: string, kind: string) => ({
      ...{ group, version: "v1", plural, kind, namespaced: false },
    });
    const storage = { provisioner: "kubernetes.io/no-provisioner", allowVolumeExpansion: true };
    const storageClass = { apiVersion: "storage.k8s.io/v1", kind: "StorageClass", metadata: { name: CLASS } };
    must(
      await admin.client.create(cluster("storage.k8s.io", "storageclasses", "StorageClass"), {
        ...storageClass,
        ...storage,
      }),
    );
    must(
      await admin.client.create(cluster("", "persistentvolumes", "PersistentVolume"), {
        apiVersion: "v1",
        kind: "PersistentVolume",
        metadata: { name: `${namespace}-database` },
        spec: {
          storageClassName: CLASS,
          capacity: { storage: "4Gi" },
          accessModes: ["ReadWriteOnce"],
          hostPath: { path: "/nowhere" },
          claimRef: { namespace, name: "data-database-0" },
        },
      }),
    );
  }

  /** Rights for what this life did not meet: an event that repeats. */
  const RARE: ReadonlySet<string> = new Set(["events.k8s.io/events patch"]);

  const rightsOf = ({ verb, objectRef = {}, responseStatus }: Request) => {
    const { apiGroup = "", resource, subresource } = objectRef;
    const what = `${apiGroup}/${resource}${subresource === undefined ? "" : `/${subresource}`}`;
    // An apply is a patch that may also make the object, and needs both rights then.
    return [
      `${what} ${verb}`,
      ...(verb === "patch" && responseStatus?.code === 201 ? [`${what} create`] : []),
    ];
  };

  const centerObject = (name: string, topology: "Separate" | "Compact"): KubeObject =>
    newCenter(name, REGION, {
      topology,
      database: { engine: "PostgreSQL", storage: "1Gi", storageClassName: CLASS },
    });
});
