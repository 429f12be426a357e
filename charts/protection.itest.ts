import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ApiServer, startApiServer } from "../local/cluster/apiserver.ts";
import { ensureBinaries } from "../local/cluster/binaries.ts";
import { tryRun } from "../local/cluster/command.ts";
import { silentReport } from "../local/cluster/report.ts";
import { FINALIZER, FULFILLMENT_CENTER } from "../operator/api/names.ts";
import { newCenter } from "../operator/testing/center.ts";
import { connectTestCluster, must, type TestCluster, until } from "../operator/testing/cluster.ts";
import { hasFinalizer, type KubeObject } from "../platform/kube/objects.ts";
import { CHART, helm, PRODUCTION, RELEASE, valueWords } from "./testing/chart.ts";

const NAMESPACE = "fulfillment-cells";
/** With every right besides, since kubectl reads before it patches and the operator has no right to get. */
const OPERATOR = ["--as", `system:serviceaccount:${NAMESPACE}:operator`, "--as-group", "system:masters"];
/** Somebody with every right that roles can give. */
const ADMIN = ["--as", "admin", "--as-group", "system:masters"];
const BREAK_GLASS = [...ADMIN, "--as-group", "fulfillment-cells-break-glass"];

const dir = mkdtempSync(join(tmpdir(), "chart-protection-"));
let server: ApiServer;
let cluster: TestCluster;
let kubectlPath: string;

beforeAll(async () => {
  server = await startApiServer({ dir: join(dir, "server"), report: silentReport(), withControllers: false });
  kubectlPath = (await ensureBinaries(silentReport())).kubectl;
  cluster = await connectTestCluster(server.kubeconfigPath);
  const words = ["install", RELEASE, CHART, "--namespace", NAMESPACE, "--create-namespace", "--skip-crds"];
  const env = { KUBECONFIG: server.kubeconfigPath };
  expect(await helm([...words, ...valueWords({ values: PRODUCTION })], env)).toMatchObject({ ok: true });
  await create("probe", { protection: true });
  // A policy is in force a moment after it was made.
  await until("the policies are in force", async () => {
    if ((await read("probe")) === undefined) await create("probe", { protection: true });
    return (await kubectl(ADMIN, "delete", "fc", "probe", "--wait=false", "--dry-run=server")).includes(
      "is protected",
    );
  });
});
afterAll(async () => {
  await cluster?.close();
  await server?.stop();
  rmSync(dir, { recursive: true, force: true });
});

/** Runs kubectl as somebody; what it says on both streams. */
async function kubectl(who: readonly string[], ...words: string[]): Promise<string> {
  const answer = await tryRun([kubectlPath, "--kubeconfig", server.kubeconfigPath, ...who, ...words]);
  return `${answer.stdout}${answer.stderr}`;
}

async function create(name: string, deletion: object): Promise<void> {
  const metadata = { name, finalizers: [FINALIZER, "example.com/other"] };
  const written = newCenter(name, "kr-seoul", { deletion });
  must(await cluster.client.create(FULFILLMENT_CENTER, { ...written, metadata }));
}

async function read(name: string): Promise<KubeObject | undefined> {
  const found = await cluster.client.get(FULFILLMENT_CENTER, { name });
  return found.ok ? found.value : undefined;
}

const patchOf = (finalizers: readonly string[]) => [
  "--type=merge",
  `--patch=${JSON.stringify({ metadata: { finalizers } })}`,
];

describe("a protected center", () => {
  it("is not deleted, by nobody, and the sentence says how to go on; without protection it is", async () => {
    await create("one", { protection: true });
    const sentence =
      "FulfillmentCenter one is protected: set spec.deletion.protection to false, then delete it.";
    expect(await kubectl(ADMIN, "delete", "fc", "one", "--wait=false")).toContain(sentence);
    expect(await kubectl(BREAK_GLASS, "delete", "fc", "one", "--wait=false")).toContain(sentence);
    expect(await kubectl(ADMIN, "delete", "fc", "--all", "--wait=false")).toContain(sentence);
    expect((await read("one"))?.metadata.deletionTimestamp).toBeUndefined();
    const patch = JSON.stringify({ spec: { deletion: { protection: false } } });
    expect(await kubectl(ADMIN, "patch", "fc", "one", "--type=merge", `--patch=${patch}`)).toContain(
      "patched",
    );
    expect(await kubectl(ADMIN, "delete", "fc", "one", "--wait=false")).toContain("deleted");
    expect((await read("one"))?.metadata.deletionTimestamp).toMatch(/^20/);
  });
});

describe("the finalizer of a center", () => {
  const SENTENCE = "Only the operator removes the finalizer cells.fulfillment.io/cell";

  it("is removed by the operator or in an emergency, by nobody else", async () => {
    await create("two", {});
    await create("three", {});
    for (const finalizers of [[], ["example.com/other"]])
      expect(await kubectl(ADMIN, "patch", "fc", "two", ...patchOf(finalizers))).toContain(SENTENCE);
    const remove = JSON.stringify([{ op: "remove", path: "/metadata/finalizers" }]);
    expect(await kubectl(ADMIN, "patch", "fc", "two", "--type=json", `--patch=${remove}`)).toContain(
      SENTENCE,
    );
    expect(hasFinalizer((await read("two"))!, FINALIZER)).toBe(true);
    expect(await kubectl(OPERATOR, "patch", "fc", "two", ...patchOf(["example.com/other"]))).toContain(
      "patched",
    );
    expect(await kubectl(BREAK_GLASS, "patch", "fc", "three", ...patchOf([]))).toContain("patched");
    expect((await read("three"))?.metadata.finalizers).toBeUndefined();
  });

  it("also while the center is being deleted, which is when people try", async () => {
    await create("four", {});
    expect(await kubectl(ADMIN, "delete", "fc", "four", "--wait=false")).toContain("deleted");
    expect(await kubectl(ADMIN, "patch", "fc", "four", ...patchOf([]))).toContain(SENTENCE);
    expect(await read("four")).toBeDefined();
    expect(await kubectl(OPERATOR, "patch", "fc", "four", ...patchOf([]))).toContain("patched");
    expect(await read("four")).toBeUndefined();
  });

  it("keeps nobody from the finalizers of others, nor from any other change", async () => {
    await create("five", {});
    expect(await kubectl(ADMIN, "patch", "fc", "five", ...patchOf([FINALIZER]))).toContain("patched");
    expect(await kubectl(ADMIN, "annotate", "fc", "five", "note=1")).toContain("annotated");
    expect((await read("five"))?.metadata.finalizers).toEqual([FINALIZER]);
  });
});
