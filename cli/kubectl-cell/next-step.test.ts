import { describe, expect, it } from "vitest";
import type { FulfillmentCenter } from "../../operator/api/fulfillment-center.ts";
import type { FulfillmentCenterStatus } from "../../operator/api/fulfillment-center-status.ts";
import { center } from "../../operator/testing/center.ts";
import { createWorld, provisionedWorld } from "../../operator/testing/world.ts";
import { isReached, ownerWarnings } from "./mode.ts";
import { nextStep } from "./next-step.ts";

const lastTransitionTime = "2026-11-21T08:00:00Z";
const withConditions = (
  conditions: Readonly<Record<string, readonly [string, string]>>,
  more: { spec?: object; status?: FulfillmentCenterStatus; metadata?: object } = {},
): FulfillmentCenter => {
  const fc = center(more.spec ?? {});
  const list = Object.entries(conditions).map(([type, [reason, message]]) => ({
    ...{ type, status: "True" as const, reason, message, lastTransitionTime },
  }));
  return {
    ...fc,
    metadata: { ...fc.metadata, ...more.metadata },
    status: { observedGeneration: 1, conditions: list, ...more.status },
  };
};

describe("the next step", () => {
  it("of a world that the operator made ready is to plan, and before that to wait", () => {
    const world = createWorld(center());
    expect(nextStep(world.fc).command).toBe("kubectl get pods -A -l app.kubernetes.io/component=operator");
    world.settle();
    expect(nextStep(world.fc)).toEqual({
      sentence: "wait; nobody has to act.",
      command: "kubectl wait --for=condition=Ready fc/seoul-mapo --timeout=5m",
    });
    expect(nextStep(provisionedWorld(center()).fc).command).toBe("kubectl cell plan -f FILE");
  });

  it("of a paused, drained or fenced center is the way back", () => {
    const world = provisionedWorld(center());
    const of = (spec: object) => {
      world.fc = { ...world.fc, spec: { ...world.fc.spec, paused: false, mode: "Active", ...spec } };
      world.settle();
      return nextStep(world.fc).command;
    };
    expect(of({ mode: "Draining" })).toBe("kubectl cell activate seoul-mapo");
    expect(of({ paused: true })).toBe(
      `kubectl patch fc seoul-mapo --type=merge -p '{"spec":{"paused":false}}'`,
    );
    of({ mode: "Fenced" });
    world.endJob("fence", JSON.stringify({ ok: true }));
    expect(of({ mode: "Fenced" })).toBe("kubectl cell activate seoul-mapo");
  });

  it.each<[string, FulfillmentCenter, string]>([
    [
      "a namespace of an earlier center",
      withConditions({
        Stalled: [
          "NamespaceTaken",
          "Take it over with the annotation cells.fulfillment.io/adopt=0a-1b, or delete it.",
        ],
      }),
      "kubectl annotate fc seoul-mapo cells.fulfillment.io/adopt=0a-1b",
    ],
    [
      "lost data",
      withConditions({
        DataLost: [
          "NamespaceReplaced",
          "Admit it with the annotation cells.fulfillment.io/acknowledge-data-loss=0a-1b.",
        ],
        Stalled: ["Other", "Something else."],
      }),
      "kubectl annotate fc seoul-mapo cells.fulfillment.io/acknowledge-data-loss=0a-1b",
    ],
    [
      "a release that does not start",
      withConditions({
        Stalled: [
          "RolloutFailed",
          "It does not become ready. See kubectl -n cell-seoul-mapo logs deploy/orders, then set release.image.",
        ],
      }),
      "kubectl -n cell-seoul-mapo logs deploy/orders",
    ],
    [
      "a pod that cannot start",
      withConditions(
        { Reconciling: ["PodBlocked", "Pod x cannot start."] },
        {
          status: {
            observedGeneration: 1,
            blockers: [{ kind: "Pod", name: "cache-0", reason: "Unschedulable" }],
          },
        },
      ),
      "kubectl -n cell-seoul-mapo describe pod cache-0",
    ],
    [
      "a change that nobody has looked at",
      withConditions({ Ready: ["Ready", "It runs."] }, { status: { observedGeneration: 0 } }),
      "kubectl wait --for=condition=Ready fc/seoul-mapo --timeout=5m",
    ],
    [
      "a protected deletion",
      withConditions(
        { Stalled: ["Protected", "Kept."], Deleting: ["Protected", "Kept."] },
        { metadata: { deletionTimestamp: lastTransitionTime } },
      ),
      `kubectl patch fc seoul-mapo --type=merge -p '{"spec":{"deletion":{"protection":false}}}'`,
    ],
    [
      "a deletion under way",
      withConditions(
        { Deleting: ["StoppingWorkloads", "Waiting."] },
        { metadata: { deletionTimestamp: lastTransitionTime } },
      ),
      "kubectl wait --for=delete fc/seoul-mapo --timeout=10m",
    ],
    [
      "a drained center",
      withConditions(
        { Ready: ["Ready", "It runs."], Draining: ["Drained", "No order is open."] },
        { spec: { mode: "Draining" } },
      ),
      "kubectl cell fence seoul-mapo",
    ],
  ])("of %s", (_title, fc, command) => {
    expect(nextStep(fc).command).toBe(command);
  });
});

describe("a mode is reached", () => {
  it("when the operator has judged the spec that asks for it, and says so", () => {
    const ready = withConditions({ Ready: ["Ready", "It runs."], Available: ["Serving", "It serves."] });
    expect(isReached(ready, "Active")).toBe(true);
    expect(isReached({ ...ready, metadata: { ...ready.metadata, generation: 2 } }, "Active")).toBe(false);
    expect(isReached(ready, "Fenced")).toBe(false);
    const fenced = withConditions({ Ready: ["Fenced", "Shut."] }, { spec: { mode: "Fenced" } });
    expect(isReached(fenced, "Fenced")).toBe(true);
    const draining = (reason: string) =>
      withConditions({ Draining: [reason, "."] }, { spec: { mode: "Draining" } });
    expect([isReached(draining("Draining"), "Draining"), isReached(draining("Drained"), "Draining")]).toEqual(
      [false, true],
    );
  });
});

describe("who would set a mode back", () => {
  const managed = (manager: string, operation: string) =>
    withConditions(
      {},
      { metadata: { managedFields: [{ manager, operation, fieldsV1: { "f:spec": { "f:mode": {} } } }] } },
    );
  const applied = (spec: object) =>
    withConditions(
      {},
      {
        metadata: {
          annotations: { "kubectl.kubernetes.io/last-applied-configuration": JSON.stringify({ spec }) },
        },
      },
    );

  it("is named: a GitOps tool, or the file that was applied", () => {
    expect(ownerWarnings(managed("argocd-controller", "Update")).join()).toContain(
      "argocd-controller sets spec.mode",
    );
    expect(ownerWarnings(managed("kustomize-controller", "Apply")).join()).toContain(
      "change it where kustomize-controller",
    );
    expect(ownerWarnings(applied({ mode: "Active" })).join()).toContain("the next kubectl apply");
  });

  it("is nobody for a center that only people and this plugin touched", () => {
    for (const manager of ["kubectl-cell", "kubectl-edit", "kubectl-client-side-apply", "fulfillment-cells"])
      expect(ownerWarnings(managed(manager, "Update"))).toEqual([]);
    expect(ownerWarnings(applied({ region: "kr-seoul" }))).toEqual([]);
  });
});
