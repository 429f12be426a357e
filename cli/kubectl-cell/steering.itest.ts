import { writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { VIEWER_GRANTS } from "../../operator/access.ts";
import { API_VERSION, FULFILLMENT_CENTER, ROUTING_TABLE } from "../../operator/api/names.ts";
import { must, uniqueName, until } from "../../operator/testing/cluster.ts";
import { KINDS } from "../../platform/kube/kinds.ts";
import type { CenterPlan } from "./plan.ts";
import {
  manifestOf,
  type PluginWorld,
  planned,
  readCenter,
  settled,
  startPluginWorld,
} from "./testing/center.ts";
import { runKubectl, runPlugin } from "./testing/running.ts";

let world: PluginWorld;
beforeAll(async () => {
  world = await startPluginWorld();
  expect((await runKubectl(world.dir, ["apply", "-f", "-"], manifestOf(world))).err).toBe("");
  await settled(world);
});
afterAll(() => world?.close());
describe("kubectl cell status", () => {
  it("fits one screen and ends with the next step", async () => {
    await settled(world);
    const look = () => runPlugin(world.dir, ["status", world.name]);
    // A region's table is written once in a second: a cell that has just become Ready waits for its turn.
    await until("the cell is routed", async () => /weight 100/.test((await look()).out));
    const { code, out } = await look();
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

  it("lists all centers, and suggests a world.name that is near", async () => {
    expect((await runPlugin(world.dir, ["status"])).out).toMatch(
      new RegExp(`NAME .*\\n[^]*${world.name} +Ready`),
    );
    const { code, err } = await runPlugin(world.dir, ["status", `${world.name}x`]);
    expect([code, err.trim()]).toEqual([1, expect.stringContaining(`did you mean ${world.name}`)]);
  });

  it("is JSON for programs", async () => {
    const report = JSON.parse(
      (await runPlugin(world.dir, ["status", world.name, "-o", "json"])).out,
    ) as Record<string, unknown>;
    expect(report).toMatchObject({
      name: world.name,
      phase: "Ready",
      region: world.region,
      routing: { mode: "Active", weight: 100 },
    });
  });
});

describe("kubectl cell drain, fence and activate", () => {
  it("ask before they change anything, and say so when nobody is there", async () => {
    const { code, err } = await runPlugin(world.dir, ["fence", world.name]);
    expect(code).toBe(1);
    expect(err).toContain("say --yes. Nothing was changed.");
    expect((await readCenter(world))?.spec.mode).toBe("Active");
  });

  it("follow a fence to its end, and back", async () => {
    const fenced = await runPlugin(world.dir, ["fence", world.name, "--wait", "--yes", "--timeout", "50s"]);
    expect([fenced.code, (await readCenter(world))?.status?.phase]).toEqual([0, "Fenced"]);
    expect(fenced.err).toContain("no other center of region");
    expect(fenced.out).toContain(`kubectl cell activate ${world.name}`);
    const active = await runPlugin(world.dir, [
      "activate",
      world.name,
      "--wait",
      "--yes",
      "--timeout",
      "50s",
    ]);
    expect([active.code, (await readCenter(world))?.status?.phase]).toEqual([0, "Ready"]);
  });

  it("drain, and say where they would be set back from", async () => {
    must(
      await world.cluster.client.apply(
        FULFILLMENT_CENTER,
        {
          apiVersion: API_VERSION,
          kind: "FulfillmentCenter",
          metadata: { name: world.name },
          spec: { mode: "Active" },
        },
        { fieldManager: "kustomize-controller" },
      ),
    );
    const { code, err } = await runPlugin(world.dir, ["drain", world.name, "--yes"]);
    expect(code).toBe(0);
    expect(err).toContain("Warning: kustomize-controller sets spec.mode of this center");
    await until("no orders are sent to it", async () => {
      const table = await world.cluster.client.get(ROUTING_TABLE, { name: world.region });
      return table.ok && JSON.stringify(table.value.spec).includes('"weight":0');
    });
    expect(
      (await runPlugin(world.dir, ["undrain", world.name, "--wait", "--yes", "--timeout", "50s"])).code,
    ).toBe(0);
  });

  it("give up after --timeout with an exit code of their own, without taking anything back", async () => {
    world.runtime.answers.set("fence", {
      ok: false,
      reason: "DatabaseUnreachable",
      message: "It does not answer.",
    });
    const { code, out } = await runPlugin(world.dir, [
      "fence",
      world.name,
      "--wait",
      "--yes",
      "--timeout",
      "3s",
    ]);
    expect([code, (await readCenter(world))?.spec.mode]).toEqual([3, "Fenced"]);
    expect(out).toContain(`kubectl cell status ${world.name}`);
    world.runtime.answers.clear();
    must(
      await world.cluster.client.patch(
        FULFILLMENT_CENTER,
        { name: world.name },
        { spec: { mode: "Active" } },
      ),
    );
    await settled(world);
  });
});

describe("with rights to read only", () => {
  const account = uniqueName("viewer");
  let kubeconfig = "";

  beforeAll(async () => {
    must(
      await world.cluster.client.create(KINDS.serviceAccount, {
        ...object("v1", "ServiceAccount"),
        metadata: { name: account, namespace: world.cluster.namespace },
      }),
    );
    const rules = VIEWER_GRANTS.map(({ ref, verbs }) => ({
      apiGroups: [ref.group],
      resources: [ref.plural],
      verbs,
    }));
    must(
      await world.cluster.client.create(KINDS.clusterRole, {
        ...object("rbac.authorization.k8s.io/v1", "ClusterRole"),
        metadata: { name: account },
        rules,
      }),
    );
    must(
      await world.cluster.client.create(KINDS.clusterRoleBinding, {
        ...object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
        metadata: { name: account },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: account },
        subjects: [{ kind: "ServiceAccount", name: account, namespace: world.cluster.namespace }],
      }),
    );
    const token = (
      await runKubectl(world.dir, ["--namespace", world.cluster.namespace, "create", "token", account])
    ).out.trim();
    const view = await runKubectl(world.dir, ["config", "view", "--raw", "--minify", "--output=json"]);
    const { clusters } = JSON.parse(view.out) as { clusters: { name: string }[] };
    const context = { name: "reader", context: { cluster: clusters[0]?.name, user: "reader" } };
    const user = { name: "reader", user: { token } };
    kubeconfig = join(world.dir, "reader.kubeconfig");
    writeFileSync(
      kubeconfig,
      JSON.stringify({ apiVersion: "v1", kind: "Config", clusters, contexts: [context], users: [user] }),
    );
  });
  afterAll(async () => {
    await world.cluster.client.remove(KINDS.clusterRoleBinding, { name: account });
    await world.cluster.client.remove(KINDS.clusterRole, { name: account });
  });
  const object = (apiVersion: string, kind: string) => ({ apiVersion, kind });
  const asReader = (words: readonly string[], input?: string) =>
    runPlugin(world.dir, [...words, "--kubeconfig", kubeconfig, "--context", "reader"], input);

  it("tells the same plan without a look into any Secret, and what it had to assume", async () => {
    await settled(world);
    const text = manifestOf(world, { topology: "Separate", release: { image: "registry.example/cell:3" } });
    const known = await planned(world, text);
    const { code, out, err } = await asReader(
      ["plan", "-f", "-", "-o", "json", "--operator-namespace", world.cluster.namespace],
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
    const { code, err } = await asReader(
      ["plan", "-f", "-"],
      manifestOf(world, { coverage: { radiusMeters: 1 } }),
    );
    expect(code).toBe(1);
    expect(err).toContain("spec.coverage.radiusMeters");
  });

  it("shows the whole status", async () => {
    const { code, out } = await asReader(["status", world.name]);
    expect(code).toBe(0);
    expect(out).toMatch(/Routing +Active, weight 100/);
    expect(out).toContain("Events");
  });

  it("may not drain, and is told which right is missing", async () => {
    const { code, err } = await asReader(["drain", world.name, "--yes"]);
    expect(code).toBe(1);
    expect(err).toMatch(/You may not change the mode of .*cannot patch resource "fulfillmentcenters"/);
  });
});

describe("kubectl", () => {
  it("finds the plugin on PATH and passes on words, input and exit codes", async () => {
    const { code, out, err } = await runKubectl(
      world.dir,
      ["cell", "plan", "-f", "-", "--exit-code"],
      manifestOf(world, { mode: "Draining" }),
    );
    expect([code, err]).toEqual([2, ""]);
    expect(out).toContain("spec.mode: Active → Draining");
    expect((await runKubectl(world.dir, ["plugin", "list"])).out).toContain(join(world.dir, "kubectl-cell"));
    const refused = await runKubectl(world.dir, ["cell", "frobnicate"]);
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('no command "frobnicate"')]);
  });

  it("completes words and the names of centers", async () => {
    expect((await runKubectl(world.dir, ["__complete", "cell", "dr"])).out).toMatch(/^drain\n:4/);
    expect(
      (await runKubectl(world.dir, ["__complete", "cell", "status", world.name.slice(0, -2)])).out,
    ).toContain(`${world.name}\n:4`);
  });

  it("is told which cluster by --kubeconfig, --context and KUBECONFIG, and a wrong one in a sentence", async () => {
    const nowhere = join(world.dir, "nowhere.kubeconfig");
    const config = {
      ...{ apiVersion: "v1", kind: "Config", "current-context": "away" },
      clusters: [{ name: "away", cluster: { server: "https://127.0.0.1:9" } }],
      contexts: [{ name: "away", context: { cluster: "away", user: "away" } }],
      users: [{ name: "away", user: { token: "none" } }],
    };
    writeFileSync(nowhere, JSON.stringify(config));
    const unreachable = /https:\/\/127.0.0.1:9 cannot be reached .*check --context/;
    const away = await runKubectl(world.dir, ["cell", "status"], "", { KUBECONFIG: nowhere });
    expect([away.code, away.err]).toEqual([1, expect.stringMatching(unreachable)]);
    const both = { KUBECONFIG: `${process.env.TEST_KUBECONFIG}${delimiter}${nowhere}` };
    expect((await runKubectl(world.dir, ["cell", "status", world.name], "", both)).code).toBe(0);
    expect((await runKubectl(world.dir, ["cell", "status", "--context", "away"], "", both)).err).toMatch(
      unreachable,
    );
    expect((await runPlugin(world.dir, ["status", "--context", "none"])).err).toContain(
      'no cluster for context "none"',
    );
  });
});
