import { expect, it } from "vitest";
import type { KubeClient } from "../../platform/kube/client.ts";
import type { KubeObject } from "../../platform/kube/objects.ts";
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
  applyStatus: (ref, object, call) => {
    const { resourceVersion: _version, ...metadata } = object.metadata;
    return client.applyStatus(ref, { ...object, metadata } as KubeObject as never, call);
  },
});

it.each([
  ["overwrites Secrets", "create", overwritesSecrets, "was written anew"],
  ["issues epochs blindly", "fence", issuesBlindly, "fenced again"],
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
