import { describe, expect, it } from "vitest";
import type { KubeObject } from "../platform/kube/objects.ts";
import type { Owner } from "../platform/kube/owners.ts";
import { claimed, driftNotice, driftOf, keepOthers } from "./drift.ts";
import { leaveReplicas } from "./handover.ts";
import { createSecretMemory } from "./secret-memory.ts";

const MANAGER = "fulfillment-cells";
const REPLICAS = { "f:spec": { "f:replicas": {} } };

function object(kind: string, spec: object, managedFields?: Owner[]): KubeObject {
  const metadata = { name: "cell", namespace: "cell-a", ...(managedFields ? { managedFields } : {}) };
  return { apiVersion: "apps/v1", kind, metadata, spec };
}

describe("what others hold of our objects", () => {
  const set = {
    "f:spec": { "f:template": { "f:spec": { "f:nodeSelector": {} } } },
    "f:metadata": { "f:labels": {} },
  };

  it.each([
    ["Deployment", "kubectl-edit", true],
    ["Deployment", "a-controller", false],
    ["NetworkPolicy", "a-controller", true],
    ["NetworkPolicy", "kube-controller-manager", false],
    ["NetworkPolicy", MANAGER, false],
    ["ServiceAccount", "kubectl-edit", false],
  ])("of a %s by %s is taken away: %s", (kind, manager, taken) => {
    const claim = claimed(object(kind, {}), { manager, operation: "Update", fieldsV1: set });
    expect(claim).toEqual(taken ? { "f:spec": set["f:spec"] } : undefined);
  });

  it("leaves the number of replicas and the mark of a restart to who wrote them", () => {
    const fieldsV1 = {
      "f:spec": {
        "f:replicas": {},
        "f:template": {
          "f:metadata": { "f:annotations": { ".": {}, "f:kubectl.kubernetes.io/restartedAt": {} } },
        },
      },
    };
    expect(claimed(object("Deployment", {}), { manager: "kubectl-rollout", fieldsV1 })).toBeUndefined();
  });

  it("keeps in a local copy who else wrote, and who holds the number of replicas", () => {
    const owners: Owner[] = [
      {
        manager: MANAGER,
        operation: "Apply",
        fieldsV1: { "f:spec": { "f:replicas": {}, "f:template": {} } },
      },
      { manager: "kube-controller-manager", operation: "Update", subresource: "status", fieldsV1: {} },
      { manager: "kubectl-edit", operation: "Update", time: "2026-11-21T08:00:00Z", fieldsV1: set },
    ];
    expect(keepOthers(object("Deployment", {}, owners)).metadata.managedFields).toEqual([
      { manager: MANAGER, operation: "Apply", fieldsV1: REPLICAS },
      owners[2],
    ]);
    expect(keepOthers(object("Service", {}, owners.slice(0, 2))).metadata).not.toHaveProperty(
      "managedFields",
    );
  });
});

describe("an Event about a correction", () => {
  it("names the object, its fields and who changed them", () => {
    const before = object("Deployment", { replicas: 3, paused: true }, [
      { manager: "kubectl-scale", time: "2026-11-21T08:00:00Z" },
      { manager: "kubectl-edit", time: "2026-11-21T08:00:05Z" },
    ]);
    const drift = driftOf(object("Deployment", { replicas: 1 }), { before, made: false })!;
    expect(driftNotice(drift, 7)).toEqual({
      key: "drift Deployment/cell 7",
      type: "Normal",
      reason: "DriftCorrected",
      action: "Apply",
      note: "Deployment/cell: spec.replicas had been changed by kubectl-edit and was put back.",
    });
  });

  it("says that an object had been deleted; of a Job it is silent, for that is how to run it again", () => {
    const drift = driftOf(object("Service", {}), { before: undefined, made: true })!;
    expect(driftNotice(drift, 1).note).toBe("Service/cell had been deleted and was made again.");
    expect(driftOf(object("Job", {}), { before: undefined, made: true })).toBeUndefined();
  });

  it("knows one that had only lost the label that it is followed by", () => {
    const drift = driftOf(object("Service", {}), { before: undefined, made: false })!;
    expect(driftNotice(drift, 1).note).toBe(
      "Service/cell: metadata.labels had been changed and was put back.",
    );
  });
});

describe("the number of replicas", () => {
  const wanted = object("Deployment", { replicas: 1, template: {} });
  const autoscaler = object("HorizontalPodAutoscaler", {
    scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "cell" },
  });
  const other = object("HorizontalPodAutoscaler", {
    scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "another" },
  });
  const ours: Owner = { manager: MANAGER, operation: "Apply", fieldsV1: REPLICAS };
  const theirs: Owner = { manager: "kube-controller-manager", subresource: "scale", fieldsV1: REPLICAS };
  const live = (...owners: Owner[]) => [object("Deployment", { replicas: 4 }, owners)];

  it.each([
    ["stays ours without an autoscaler", [], live(theirs), true],
    ["stays ours with the autoscaler of another", [other], live(theirs), true],
    ["stays ours until somebody else holds it: letting go would reset it", [autoscaler], live(ours), true],
    ["stays ours while there is no Deployment", [autoscaler], [], true],
    ["is the autoscaler's once that holds it", [autoscaler], live(theirs), false],
    ["is the autoscaler's when both hold it", [autoscaler], live(ours, theirs), false],
  ])("%s", (_title, autoscalers, objects, kept) => {
    expect(leaveReplicas(wanted, { autoscalers, objects }).spec).toEqual(
      kept ? { replicas: 1, template: {} } : { template: {} },
    );
  });
});

describe("the memory of Secrets", () => {
  const secret = (text: string, name = "database"): KubeObject => ({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace: "cell-a" },
    data: { orders: text },
  });

  it("puts back what was changed, leaves missing what is missing, in the same namespace only", () => {
    const memory = createSecretMemory();
    memory.remember("uid-1", "a", secret("right"));
    expect(memory.restored("uid-1", "a", [secret("wrong"), secret("new", "cache")])).toEqual([
      secret("right"),
      secret("new", "cache"),
    ]);
    expect(memory.restored("uid-1", "a", [])).toEqual([]);
    expect(memory.restored("uid-2", "a", [secret("wrong")])).toEqual([secret("wrong")]);
    memory.forget("a");
    expect(memory.restored("uid-1", "a", [secret("wrong")])).toEqual([secret("wrong")]);
  });
});
