import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { KubeClient } from "../../platform/kube/client.ts";
import { createInformer } from "../../platform/kube/informer.ts";
import { KINDS } from "../../platform/kube/kinds.ts";
import { isConditionTrue, type KubeObject, type ResourceRef } from "../../platform/kube/objects.ts";
import { handOver } from "../../platform/kube/ownership.ts";
import { type KubeTime, silentLog, silentMetrics } from "../../platform/kube/ports.ts";
import { FULFILLMENT_CENTER } from "../api/names.ts";
import { must } from "./cluster.ts";
import { center, claimSpec, deployment, job, namespaceNamed, statefulSet } from "./contractobjects.ts";

/** A cluster as the contract asks it: an API server with its controllers, whose nodes run every pod at once. */
export interface ContractCluster {
  /** A client of this field manager. */
  client(manager: string): KubeClient;
  readonly time?: KubeTime;
  until(what: string, holds: () => Promise<boolean>): Promise<void>;
  close(): Promise<void>;
}

const code = (result: { ok: true } | { ok: false; code: string }) => (result.ok ? "ok" : result.code);

/**
 * What the operator relies on in a cluster, once for every cluster that it is tested against: a cluster in a process that
 * passes it behaves like the real one as far as the operator can tell.
 */
export function describeContract(title: string, mark: string, start: () => Promise<ContractCluster>): void {
  let cluster: ContractCluster;
  let us: KubeClient;
  let them: KubeClient;
  let counter = 0;
  const namespace = `${mark}-contract`;
  beforeAll(async () => {
    cluster = await start();
    us = cluster.client("us");
    them = cluster.client("them");
    must(await us.create(KINDS.namespace, namespaceNamed(namespace)));
  });
  afterAll(async () => {
    await us?.remove(KINDS.namespace, { name: namespace });
    await cluster?.close();
  });
  const fresh = (prefix: string) => `${mark}-${prefix}-${++counter}`;
  const secret = (
    name: string,
    data: Record<string, string>,
    labels?: Record<string, string>,
  ): KubeObject => ({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace, ...(labels === undefined ? {} : { labels }) },
    type: "Opaque",
    data,
  });
  const read = async (ref: ResourceRef, name: string) => must(await us.get(ref, { name, namespace }));
  const isGone = (ref: ResourceRef, name: string) => async () =>
    code(await us.get(ref, { name, namespace })) === "notFound";

  describe(`${title}: writing`, () => {
    it("creates an object once", async () => {
      const name = fresh("create");
      const made = must(await us.create(KINDS.secret, secret(name, { word: "YQ==" })));
      expect(made.metadata.uid).toBeTruthy();
      expect(made.metadata.creationTimestamp).toMatch(/^\d{4}-.*Z$/);
      expect(Number(made.metadata.resourceVersion)).toBeGreaterThan(0);
      expect(code(await us.create(KINDS.secret, secret(name, { word: "Yg==" })))).toBe("alreadyExists");
      expect((await read(KINDS.secret, name)).data).toEqual({ word: "YQ==" });
    });

    it("applies, and a second time changes nothing", async () => {
      const name = fresh("apply");
      const first = must(await us.apply(KINDS.secret, secret(name, { a: "YQ==" })));
      const again = must(await us.apply(KINDS.secret, secret(name, { a: "YQ==" })));
      expect(again.metadata.resourceVersion).toBe(first.metadata.resourceVersion);
      const changed = must(await us.apply(KINDS.secret, secret(name, { a: "Yg==" })));
      expect(Number(changed.metadata.resourceVersion)).toBeGreaterThan(
        Number(first.metadata.resourceVersion),
      );
      expect(changed.metadata.uid).toBe(first.metadata.uid);
    });

    it("takes away what the applier alone had and asks for no more", async () => {
      const name = fresh("drop");
      must(await us.apply(KINDS.secret, secret(name, { a: "YQ==", b: "Yg==" }, { mine: "1", ours: "1" })));
      must(await them.apply(KINDS.secret, secret(name, { b: "Yg==", c: "Yw==" }, { ours: "1" })));
      const left = must(await us.apply(KINDS.secret, secret(name, { a: "YQ==" })));
      expect(left.data).toEqual({ a: "YQ==", b: "Yg==", c: "Yw==" });
      expect(left.metadata.labels).toEqual({ ours: "1" });
    });

    it("leaves what came with the creation when an apply does not name it", async () => {
      const name = fresh("created");
      must(await us.create(KINDS.secret, secret(name, { a: "YQ==" }, { owner: "x", kept: "1" })));
      must(await us.apply(KINDS.secret, secret(name, { a: "YQ==" }, { owner: "x" })));
      const after = must(await us.apply(KINDS.secret, secret(name, { a: "YQ==" }, {})));
      expect(after.metadata.labels).toEqual({ owner: "x", kept: "1" });
      const emptied = must(await us.apply(KINDS.secret, secret(name, { a: "YQ==" }, { owner: "" })));
      expect(emptied.metadata.labels).toEqual({ owner: "", kept: "1" });
    });

    it("lets a creator hand its fields over to its applies", async () => {
      const name = fresh("hand");
      must(await us.create(KINDS.secret, secret(name, { a: "YQ==", b: "Yg==" }, { x: "1" })));
      must(await them.apply(KINDS.secret, secret(name, { a: "YQ==" })));
      must(await handOver(us, KINDS.secret, secret(name, {}), { manager: "us" }));
      expect(must(await us.apply(KINDS.secret, secret(name, {}))).data).toEqual({ a: "YQ==" });
    });

    it("applies under a condition only to the version that it names", async () => {
      const name = fresh("version");
      const wish = (word: string) => secret(name, { word });
      const first = must(await us.apply(KINDS.secret, wish("YQ=="))).metadata.resourceVersion!;
      const second = must(await us.apply(KINDS.secret, wish("Yg=="), { ifVersion: first }));
      expect(code(await us.apply(KINDS.secret, wish("Yw=="), { ifVersion: first }))).toBe("conflict");
      expect(await read(KINDS.secret, name)).toMatchObject({
        data: { word: "Yg==" },
        metadata: { resourceVersion: second.metadata.resourceVersion },
      });
      const absent = { ...wish("YQ=="), metadata: { name: fresh("absent"), namespace } };
      must(await us.apply(KINDS.secret, absent, { ifVersion: first }));
    });

    it("takes a field over by force only", async () => {
      const name = fresh("force");
      must(await us.apply(KINDS.secret, secret(name, { a: "YQ==" })));
      expect(code(await them.apply(KINDS.secret, secret(name, { a: "Yg==" }), { force: false }))).toBe(
        "conflict",
      );
      must(await them.apply(KINDS.secret, secret(name, { a: "Yg==" })));
      expect((must(await us.apply(KINDS.secret, secret(name, {}))) as KubeObject).data).toEqual({
        a: "Yg==",
      });
    });

    it("merges a patch, under a condition when it names one", async () => {
      const name = fresh("merge");
      const made = must(await us.create(KINDS.secret, secret(name, { a: "YQ==" }, { x: "1", y: "1" })));
      must(await us.patch(KINDS.secret, { name, namespace }, { metadata: { labels: { x: null, z: "1" } } }));
      expect((await read(KINDS.secret, name)).metadata.labels).toEqual({ y: "1", z: "1" });
      const { resourceVersion } = made.metadata;
      const late = await us.patch(
        KINDS.secret,
        { name, namespace },
        { metadata: { resourceVersion, labels: {} } },
      );
      expect(code(late)).toBe("conflict");
      expect(code(await us.patch(KINDS.secret, { name: "nobody", namespace }, {}))).toBe("notFound");
    });

    it("knows no object in a namespace that is not there", async () => {
      const homeless = { ...secret("a", {}), metadata: { name: "a", namespace: `${mark}-nowhere` } };
      expect(code(await us.create(KINDS.secret, homeless))).toBe("notFound");
      expect(code(await us.apply(KINDS.secret, homeless))).toBe("notFound");
    });

    it("refuses to change what is fixed", async () => {
      const name = fresh("fixed");
      must(await us.apply(KINDS.job, job(namespace, name, ["one"])));
      expect(code(await us.apply(KINDS.job, job(namespace, name, ["two"])))).toBe("invalid");
    });
  });

  describe(`${title}: status`, () => {
    it("has a door of its own, and conditions", async () => {
      const name = fresh("fc");
      const made = must(await us.create(FULFILLMENT_CENTER, center(name)));
      const { uid, resourceVersion } = made.metadata;
      const withStatus = (epoch: number, metadata: object) =>
        ({ ...center(name), metadata: { name, ...metadata }, status: { epoch } }) as KubeObject;
      const written = must(
        await us.updateStatus(FULFILLMENT_CENTER, withStatus(1, { uid, resourceVersion })),
      );
      expect(written.status).toMatchObject({ epoch: 1 });
      expect(written.metadata.generation).toBe(made.metadata.generation);
      const late = await us.updateStatus(FULFILLMENT_CENTER, withStatus(2, { resourceVersion }));
      expect(code(late)).toBe("conflict");
      const spec = { ...(center(name).spec as object), mode: "Draining" };
      const patched = must(await us.patch(FULFILLMENT_CENTER, { name }, { spec, status: { epoch: 9 } }));
      expect(patched.status).toMatchObject({ epoch: 1 });
      expect(patched.metadata.generation).toBe((made.metadata.generation ?? 0) + 1);
      must(await us.remove(FULFILLMENT_CENTER, { name }));
      const gone = await us.updateStatus(FULFILLMENT_CENTER, withStatus(3, { uid, resourceVersion }));
      expect(code(gone)).toBe("notFound");
    });

    it("of a namesake is not written, nor one that names no version", async () => {
      const name = fresh("namesake");
      const { uid, resourceVersion } = must(await us.create(FULFILLMENT_CENTER, center(name))).metadata;
      must(await us.remove(FULFILLMENT_CENTER, { name }));
      const other = must(await us.create(FULFILLMENT_CENTER, center(name))).metadata;
      const late = (metadata: object) =>
        us.updateStatus(FULFILLMENT_CENTER, {
          ...center(name),
          metadata: { name, ...metadata },
          status: { epoch: 1 },
        } as KubeObject);
      expect(code(await late({ uid, resourceVersion }))).toBe("conflict");
      expect(code(await late({ uid, resourceVersion: other.resourceVersion }))).toBe("conflict");
      expect(code(await late({ uid: other.uid }))).toBe("invalid");
      expect(code(await late({ resourceVersion: other.resourceVersion }))).toBe("ok");
      must(await us.remove(FULFILLMENT_CENTER, { name }));
    });

    it("keeps an object that has a finalizer until that is taken away", async () => {
      const name = fresh("finalizer");
      must(await us.create(FULFILLMENT_CENTER, center(name)));
      must(
        await us.patch(FULFILLMENT_CENTER, { name }, { metadata: { finalizers: ["tests.example/keep"] } }),
      );
      must(await us.remove(FULFILLMENT_CENTER, { name }));
      const leaving = must(await us.get(FULFILLMENT_CENTER, { name }));
      expect(leaving.metadata.deletionTimestamp).toBeTruthy();
      must(await us.remove(FULFILLMENT_CENTER, { name }));
      must(await us.patch(FULFILLMENT_CENTER, { name }, { metadata: { finalizers: [] } }));
      expect(code(await us.get(FULFILLMENT_CENTER, { name }))).toBe("notFound");
    });
  });

  describe(`${title}: reading`, () => {
    it("lists by label in pages, and a watch goes on from there", async () => {
      const label = fresh("label");
      const names = ["a", "b", "c"].map((letter) => `${label}-${letter}`);
      for (const name of names) must(await us.create(KINDS.secret, secret(name, {}, { set: label })));
      const asked = { namespace, labelSelector: `set=${label}`, limit: 2 };
      const first = must(await us.list(KINDS.secret, asked));
      expect(first.items.map(({ metadata }) => metadata.name)).toEqual(names.slice(0, 2));
      const second = must(await us.list(KINDS.secret, { ...asked, continueToken: first.continueToken! }));
      expect(second.items.map(({ metadata }) => metadata.name)).toEqual(names.slice(2));
      expect(second.continueToken).toBeUndefined();
    });

    it("shows a selection every change, and one that leaves the selection as deleted", async () => {
      const label = fresh("watch");
      const name = `${label}-a`;
      const stop = new AbortController();
      const seen: string[] = [];
      const informer = createInformer({
        client: us,
        ref: KINDS.secret,
        namespace,
        labelSelector: `set=${label}`,
        log: silentLog,
        metrics: silentMetrics,
        ...(cluster.time === undefined ? {} : { time: cluster.time }),
      });
      informer.store.onChange(({ type }) => void seen.push(type));
      const running = informer.run(stop.signal);
      await informer.synced(stop.signal);
      const labels = (value: string) =>
        us.patch(KINDS.secret, { name, namespace }, { metadata: { labels: { set: value } } });
      must(await us.create(KINDS.secret, secret(name, {}, { set: label })));
      must(await us.patch(KINDS.secret, { name, namespace }, { data: { a: "YQ==" } }));
      must(await labels("other"));
      must(await labels(label));
      must(await us.remove(KINDS.secret, { name, namespace }));
      await cluster.until("five changes are seen", async () => seen.length >= 5);
      stop.abort();
      await running;
      expect(seen).toEqual(["added", "modified", "deleted", "added", "deleted"]);
    });
  });

  describe(`${title}: deleting`, () => {
    it("deletes the object that was meant, and no namesake", async () => {
      const name = fresh("remove");
      const first = must(await us.create(KINDS.secret, secret(name, {})));
      must(await us.remove(KINDS.secret, { name, namespace }, { uid: first.metadata.uid! }));
      const second = must(await us.create(KINDS.secret, secret(name, {})));
      expect(second.metadata.uid).not.toBe(first.metadata.uid);
      const late = await us.remove(KINDS.secret, { name, namespace }, { uid: first.metadata.uid! });
      expect(code(late)).toBe("conflict");
      must(await us.remove(KINDS.secret, { name, namespace }));
      expect(code(await us.remove(KINDS.secret, { name, namespace }))).toBe("notFound");
    });

    it("empties a namespace, lets nothing new into it, and then takes it away", async () => {
      const name = fresh("leaving");
      must(await us.create(KINDS.namespace, namespaceNamed(name)));
      const inside = { ...secret("inside", {}), metadata: { name: "inside", namespace: name } };
      must(await us.create(KINDS.secret, inside));
      const before = must(await us.get(KINDS.namespace, { name }));
      must(await us.remove(KINDS.namespace, { name }));
      const late = { ...inside, metadata: { name: "late", namespace: name } };
      expect(["forbidden", "notFound"]).toContain(code(await us.create(KINDS.secret, late)));
      await cluster.until("the namespace is gone", async () => !(await us.get(KINDS.namespace, { name })).ok);
      const again = must(await us.create(KINDS.namespace, namespaceNamed(name)));
      expect(again.metadata.uid).not.toBe(before.metadata.uid);
      expect(must(await us.list(KINDS.secret, { namespace: name })).items).toEqual([]);
      must(await us.remove(KINDS.namespace, { name }));
    });
  });

  describe(`${title}: workloads`, () => {
    it("runs a Deployment's pods, reports them, and stops them with it", async () => {
      const name = fresh("deployment");
      const made = must(await us.apply(KINDS.deployment, deployment(namespace, name, "one")));
      const rolledOut = async (generation: number) => {
        const status = (await read(KINDS.deployment, name)).status as Record<string, number> | undefined;
        return (
          status?.observedGeneration === generation &&
          status.updatedReplicas === 2 &&
          status.availableReplicas === 2 &&
          status.replicas === 2
        );
      };
      await cluster.until("it is rolled out", () => rolledOut(made.metadata.generation ?? 0));
      const changed = must(await us.apply(KINDS.deployment, deployment(namespace, name, "two")));
      expect(changed.metadata.generation).toBe((made.metadata.generation ?? 0) + 1);
      await cluster.until("the change is rolled out", () => rolledOut(changed.metadata.generation ?? 0));
      const pods = async () =>
        must(await us.list(KINDS.pod, { namespace, labelSelector: `app=${name}` })).items.filter(
          ({ metadata }) => metadata.deletionTimestamp === undefined,
        );
      expect((await pods()).map(({ metadata }) => metadata.labels?.revision)).toEqual(["two", "two"]);
      must(await us.remove(KINDS.deployment, { name, namespace }, { propagation: "Background" }));
      await cluster.until("its pods are gone", async () => (await pods()).length === 0);
    });

    it("gives a StatefulSet's pods names and claims that outlive it", async () => {
      const name = fresh("set");
      must(await us.apply(KINDS.statefulSet, statefulSet(namespace, name)));
      await cluster.until("its pod is ready", async () => {
        const status = (await read(KINDS.statefulSet, name)).status as Record<string, number> | undefined;
        return status?.readyReplicas === 1 && status.updatedReplicas === 1;
      });
      expect((await read(KINDS.pod, `${name}-0`)).metadata.labels?.app).toBe(name);
      const claim = await read(KINDS.persistentVolumeClaim, `data-${name}-0`);
      expect(claim.metadata.labels?.claim).toBe(name);
      const { spec } = statefulSet(namespace, name) as unknown as {
        spec: { volumeClaimTemplates: KubeObject[] };
      };
      const larger = spec.volumeClaimTemplates.map((one) => ({ ...one, spec: claimSpec("2Gi") }));
      const grown = { ...statefulSet(namespace, name), spec: { ...spec, volumeClaimTemplates: larger } };
      expect(code(await us.apply(KINDS.statefulSet, grown))).toBe("invalid");
      must(await us.remove(KINDS.statefulSet, { name, namespace }));
      await cluster.until("its pod is gone", isGone(KINDS.pod, `${name}-0`));
      expect((await us.get(KINDS.persistentVolumeClaim, { name: `data-${name}-0`, namespace })).ok).toBe(
        true,
      );
    });

    it("runs a Job once, and its pod's last words stay as long as it does", async () => {
      const name = fresh("job");
      must(await us.apply(KINDS.job, job(namespace, name, ["cell/main.ts", "provision"])));
      await cluster.until("it is complete", async () =>
        isConditionTrue(
          ((await read(KINDS.job, name)).status as { conditions?: [] })?.conditions,
          "Complete",
        ),
      );
      const pods = async () =>
        must(await us.list(KINDS.pod, { namespace, labelSelector: `app=${name}` })).items;
      const [pod] = await pods();
      expect(await pods()).toHaveLength(1);
      expect(pod?.metadata.ownerReferences?.[0]).toMatchObject({ kind: "Job", name });
      expect(JSON.stringify(pod?.status)).toContain('\\"ok\\":true');
      must(await us.remove(KINDS.job, { name, namespace }, { propagation: "Background" }));
      await cluster.until("its pods are gone", async () => (await pods()).length === 0);
    });

    it("gives a Service an address that stays", async () => {
      const name = fresh("service");
      const wish: KubeObject = {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name, namespace },
        spec: { selector: { app: name }, ports: [{ name: "http", port: 80, protocol: "TCP" }] },
      };
      const made = must(await us.create(KINDS.service, wish));
      const { clusterIP } = made.spec as { clusterIP: string };
      expect(clusterIP).toMatch(/^[\d.]+$/);
      must(await handOver(us, KINDS.service, wish, { manager: "us" }));
      const labelled: KubeObject = { ...wish, metadata: { ...wish.metadata, labels: { a: "1" } } };
      const again = must(await us.apply(KINDS.service, labelled));
      expect((again.spec as { clusterIP: string }).clusterIP).toBe(clusterIP);
    });
  });
}
