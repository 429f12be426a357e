import { describe, expect, it } from "vitest";
import { findCondition } from "../platform/kube/objects.ts";
import { center } from "./testing/center.ts";
import { provisionedWorld, type World } from "./testing/world.ts";

const verdict = (world: World, type: string) => {
  const condition = findCondition(world.fc.status?.conditions, type);
  return condition === undefined ? undefined : `${condition.status} ${condition.reason}`;
};

describe("a ready center", () => {
  it("keeps the old services running until the new release is migrated", () => {
    const world = provisionedWorld(center());
    world.fc = {
      ...world.fc,
      metadata: { ...world.fc.metadata, generation: 2 },
      spec: { ...world.fc.spec, release: { image: "registry.example/cell:2" } },
    };
    world.settle();
    expect(JSON.stringify(world.get("Deployment", "cell"))).toContain("registry.example/cell:1");
    expect([verdict(world, "Ready"), verdict(world, "Available"), world.fc.status?.phase]).toEqual([
      "False Migrating",
      "True Serving",
      "Updating",
    ]);
    world.endJob("provision", JSON.stringify({ ok: true, epoch: world.fc.status?.epoch }));
    world.settle();
    expect(verdict(world, "ServicesReady")).toBe("False RollingOut");
    world.readyWorkloads();
    world.settle();
    expect(verdict(world, "Ready")).toBe("True Ready");
    expect(world.fc.status?.release).toEqual({
      current: "registry.example/cell:2",
      previous: "registry.example/cell:1",
    });
    expect([...world.objects.keys()].filter((key) => key.startsWith("Job/provision"))).toHaveLength(1);
  });

  it.each([
    ["a pod is missing", "Deployment", "cell", "True PodsMissing"],
    ["the cache is away", "StatefulSet", "cache", "True CacheNotReady"],
  ])("is degraded but available when %s", (_title, kind, name, expected) => {
    const services = [{ name: "orders" as const, replicas: 2 }];
    const world = provisionedWorld(center({ services }));
    expect(verdict(world, "Degraded")).toBe("False NotDegraded");
    const live = world.get(kind, name);
    const available = kind === "Deployment" ? 1 : 0;
    const status = { ...(live.status as object), availableReplicas: available, readyReplicas: available };
    world.objects.set(`${kind}/${name}`, { ...live, status });
    world.settle();
    expect([verdict(world, "Available"), verdict(world, "Degraded")]).toEqual(["True Serving", expected]);
  });

  it("is degraded but available when its Kafka has gone, for as long as nobody has reached it again", () => {
    const world = provisionedWorld(center());
    const states = (["unknown", "reached", "away", "unknown", "reached"] as const).map((state) => {
      world.brokers = { list: "kafka.example:9092", state };
      world.settle();
      return verdict(world, "Degraded");
    });
    const [full, lost] = ["False NotDegraded", "True KafkaUnreachable"];
    expect(states).toEqual([full, full, lost, lost, full]);
    expect(verdict(world, "Available")).toBe("True Serving");
  });

  it("is not rolled out while a pod of the last release still runs", () => {
    const world = provisionedWorld(center());
    const cell = world.get("Deployment", "cell");
    world.objects.set("Deployment/cell", { ...cell, status: { ...(cell.status as object), replicas: 2 } });
    world.settle();
    expect(verdict(world, "ServicesReady")).toBe("False RollingOut");
  });

  it("changes topology without a gap: what served goes when its successors stand", () => {
    const world = provisionedWorld(center({ topology: "Separate" }));
    world.fc = { ...world.fc, spec: { ...world.fc.spec, topology: "Compact" } };
    world.settle();
    expect([...world.objects.keys()].filter((key) => key.startsWith("Deployment/"))).toHaveLength(8);
    expect(verdict(world, "Available")).toBe("True Serving");
    world.readyWorkloads();
    world.settle();
    expect([...world.objects.keys()].filter((key) => key.startsWith("Deployment/"))).toEqual([
      "Deployment/cell",
    ]);
    expect([...world.objects.keys()].filter((key) => key.startsWith("ServiceAccount/")).sort()).toEqual([
      "ServiceAccount/cache",
      "ServiceAccount/cell",
      "ServiceAccount/database",
      "ServiceAccount/isolation-probe",
      "ServiceAccount/provision",
    ]);
  });

  it("stays admitted to routing when its pods fail", () => {
    const world = provisionedWorld(center());
    const cell = world.get("Deployment", "cell");
    world.objects.set("Deployment/cell", {
      ...cell,
      status: { ...(cell.status as object), availableReplicas: 0, readyReplicas: 0 },
    });
    world.settle();
    expect([verdict(world, "Available"), world.fc.status?.phase]).toEqual([
      "False ServicesNotReady",
      "Unavailable",
    ]);
    expect(world.fc.status?.admittedEpoch).toBe(world.fc.status?.epoch);
  });

  it("never makes a password or key anew, and completes a Secret that lost an entry", () => {
    const world = provisionedWorld(center());
    const before = world.get("Secret", "database").data as Record<string, string>;
    const { orders: _lost, ...rest } = before;
    world.objects.set("Secret/database", { ...world.get("Secret", "database"), data: rest });
    world.settle();
    expect(world.get("Secret", "database").data).toEqual(before);
  });

  it("grows its volumes without touching the StatefulSet's claim templates", () => {
    const world = provisionedWorld(center());
    world.claims = [
      {
        apiVersion: "v1",
        kind: "PersistentVolumeClaim",
        metadata: {
          name: "data-database-0",
          namespace: "cell-seoul-mapo",
          labels: { "app.kubernetes.io/component": "database" },
        },
        spec: { resources: { requests: { storage: "1Gi" } } },
        status: { phase: "Pending" },
      },
    ];
    world.fc = {
      ...world.fc,
      spec: { ...world.fc.spec, database: { ...world.fc.spec.database, storage: "2Gi" } },
    };
    world.settle();
    // The API server would refuse it, with a diff of the whole object.
    expect(world.claims[0]?.spec).toEqual({ resources: { requests: { storage: "1Gi" } } });
    expect(verdict(world, "DatabaseReady")).toBe("False VolumeNotBound");
    expect(verdict(world, "Stalled")).toBe("False Progressing");
    world.claims = world.claims.map((claim) => ({ ...claim, status: { phase: "Bound" } }));
    const plan = world.settle();
    expect(world.claims[0]?.spec).toEqual({ resources: { requests: { storage: "2Gi" } } });
    const set = plan.objects.find(
      ({ kind, metadata }) => kind === "StatefulSet" && metadata.name === "database",
    );
    expect(JSON.stringify(set?.spec)).toContain('"storage":"1Gi"');
  });
});
