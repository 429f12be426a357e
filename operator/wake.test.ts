import { describe, expect, it } from "vitest";
import { KINDS } from "../platform/kube/kinds.ts";
import { type KubeObject, type ResourceRef, resourceName } from "../platform/kube/objects.ts";
import { createStore, type WritableStore } from "../platform/kube/store.ts";
import { cellNamespace, FULFILLMENT_CENTER, LABELS } from "./api/names.ts";
import { storesOver } from "./stores.ts";
import { center as sample } from "./testing/center.ts";
import { burstOf, wakeOnChange } from "./wake.ts";

it("a cell that comes alone is looked at soon; among a thousand its changes share passes, and no pass waits long", () => {
  expect(burstOf(1)).toBeLessThan(250);
  expect(burstOf(100)).toBeLessThan(500);
  expect(burstOf(1_000)).toBe(2_000);
  expect(burstOf(100_000)).toBe(2_000);
});

describe("a change inside a cell", () => {
  /** Copies that a test fills, and who was woken by that: for a center the delay in milliseconds. */
  function start(first: readonly (readonly [ResourceRef, KubeObject])[] = []) {
    const stores = new Map<string, WritableStore<KubeObject>>();
    const woken: { center: string; delayMs: number }[] = [];
    wakeOnChange(
      storesOver((ref, { index }) => {
        const store = createStore(index === undefined ? {} : { indexers: { [index[0]]: index[1] } });
        stores.set(resourceName(ref), store as unknown as WritableStore<KubeObject>);
        return store as never;
      }, []),
      { center: (center, delayMs) => woken.push({ center, delayMs }), region: () => undefined },
    );
    // What comes later is a change, and not the first list.
    for (const [resource, store] of stores)
      store.replace(
        first.flatMap(([ref, object]) => (resourceName(ref) === resource ? [object] : [])),
        "0",
      );
    let version = 0;
    const put = (ref: ResourceRef, object: KubeObject) => {
      const metadata = { ...object.metadata, resourceVersion: String(++version) };
      stores.get(resourceName(ref))?.put({ ...object, metadata });
    };
    const center = (name: string, isSettled: boolean) => {
      const conditions = ["Ready", "Isolated"].map((type) => ({
        type,
        status: isSettled ? "True" : "Unknown",
      }));
      const fc = sample({}, { name, uid: `uid-${name}` });
      put(FULFILLMENT_CENTER, { ...fc, status: { conditions } } as KubeObject);
    };
    const changePod = (name: string) => {
      woken.length = 0;
      const labels = { [LABELS.center]: name };
      const metadata = { name: "orders-0", namespace: cellNamespace(name), labels };
      put(KINDS.pod, { apiVersion: "v1", kind: "Pod", metadata, status: { phase: `at ${version}` } });
      return woken;
    };
    return { center, changePod, put, woken };
  }

  const secret = (name: string, namespace: string, labels: Record<string, string>) => ({
    ...{ apiVersion: "v1", kind: "Secret", metadata: { name, namespace, labels } },
  });

  it("is not looked at twice because the key of its region came with the first list", () => {
    const fc = { ...sample({}, { name: "one", uid: "uid-one" }) } as KubeObject;
    const region = (fc.spec as { region: string }).region;
    const key = secret("gateway-key", "fulfillment-system", { [LABELS.region]: region });
    const first = [[FULFILLMENT_CENTER, fc] as const, [KINDS.secret, key] as const];
    const { woken, put } = start(first);
    expect(woken.filter(({ center }) => center === "one").map(({ delayMs }) => delayMs)).not.toEqual([]);
    expect(woken.filter(({ delayMs }) => delayMs > 0)).toEqual([]);
    woken.length = 0;
    put(KINDS.secret, key);
    expect(woken).toEqual([{ center: "one", delayMs: burstOf(0) }]);
  });

  it("is looked at at once where the cell is settled, and with others where it is not", () => {
    const { center, changePod } = start();
    center("done", true);
    center("new-0", false);
    expect(changePod("done")).toEqual([{ center: "done", delayMs: 0 }]);
    expect(changePod("new-0")).toEqual([{ center: "new-0", delayMs: burstOf(1) }]);
  });

  it("waits the longer for others the more cells are under way, and no longer once they have settled", () => {
    const { center, changePod } = start();
    for (let index = 0; index < 300; index++) center(`new-${index}`, false);
    expect(changePod("new-7")).toEqual([{ center: "new-7", delayMs: burstOf(300) }]);
    for (let index = 1; index < 300; index++) center(`new-${index}`, true);
    expect(changePod("new-0")).toEqual([{ center: "new-0", delayMs: burstOf(1) }]);
    expect(changePod("new-7")).toEqual([{ center: "new-7", delayMs: 0 }]);
  });
});
