import { expect, it } from "vitest";
import type { KubeClient } from "../../platform/kube/client.ts";
import { exploreFlow } from "./exhaustive.ts";
import { createExplorer } from "./explore.ts";
import { parseFaults } from "./faults.ts";

/** An operator that would rather have its Secret stored than learn that there is one already. */
const overwritesSecrets = (client: KubeClient): KubeClient => ({
  ...client,
  create: (ref, object, call) =>
    ref.kind === "Secret" ? client.apply(ref, object, call) : client.create(ref, object, call),
});

/** An operator that issues a number without looking whether the center has changed since it was read. */
const issuesBlindly = (client: KubeClient): KubeClient => ({
  ...client,
  updateStatus: async (ref, object, call) => {
    const live = await client.get(ref, object.metadata);
    if (!live.ok) return live;
    const { metadata } = live.value;
    return client.updateStatus(ref, { ...object, metadata }, call);
  },
});

it.each([
  ["overwrites Secrets", "create", overwritesSecrets, "was written anew"],
  ["issues epochs blindly", "fence", issuesBlindly, "the epoch went back"],
] as const)(
  "finds an operator that %s, and does the run again from its line",
  { timeout: 600_000 },
  async (_, flow, plant, sentence) => {
    const { failures } = await exploreFlow(createExplorer({ plant }), flow, { maxFailures: 1 });
    expect(failures[0]).toContain(sentence);
    const [line = "", ...sentences] = (failures[0] ?? "").split("\n  ");
    console.log(failures[0]);
    const faults = parseFaults(/--faults (\S+)$/.exec(line)?.[1] ?? "") ?? [];
    expect((await createExplorer({ plant }).run(flow, faults)).faults).toEqual(sentences);
    expect((await createExplorer().run(flow, faults)).faults).toEqual([]);
  },
);

/** Its applies forget the version that they were decided by. */
const appliesBlindly = (client: KubeClient): KubeClient => ({
  ...client,
  apply: (ref, object, call = {}) => {
    const { ifVersion: _version, ...rest } = call;
    return client.apply(ref, object, rest);
  },
});

it("finds an operator that counts a routing table on from an old copy", { timeout: 600_000 }, async () => {
  const { calls } = await createExplorer().undisturbed("create");
  const write = calls.findIndex(({ verb, target }) => verb === "apply" && target.startsWith("RoutingTable"));
  const told: string[] = [];
  for (let at = write; at >= 0 && told.length === 0; at--) {
    const faults = [{ kind: "stale" as const, at, of: "RoutingTable" }];
    told.push(...(await createExplorer({ plant: appliesBlindly }).run("create", faults)).faults);
    expect((await createExplorer().run("create", faults)).faults).toEqual([]);
  }
  expect(told.join()).toContain("of the routing table was followed by");
});

it("leaves nothing of a retained cell behind that a copy has missed", { timeout: 600_000 }, async () => {
  const explorer = createExplorer();
  const { calls } = await explorer.undisturbed("retain");
  const kinds = ["Job", "Deployment", "StatefulSet", "Service"];
  for (const of of kinds)
    for (let at = 0; at < calls.length; at += 3)
      expect((await explorer.run("retain", [{ kind: "gap", at, of }])).faults, `${of} at ${at}`).toEqual([]);
});
