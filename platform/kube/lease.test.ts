import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { KubeClient } from "./client.ts";
import { failureOf, type KubeResult } from "./failures.ts";
import { createLease, type Lease } from "./lease.ts";
import type { KubeObject } from "./objects.ts";
import { silentLog, silentMetrics } from "./ports.ts";
import { createFakeStorage, type FakeAnswer, type FakeStorage } from "./testing/fakestorage.ts";
import { createVirtualTime, settle, type VirtualTime } from "./testing/virtualtime.ts";

const KEY = "system/leader";
const COLLECTION = "leases";

/** The three calls that a lease makes, over a storage without a network; `away` says whether they arrive. */
function clientOver(storage: FakeStorage, away: () => boolean): KubeClient {
  const result = <T>(answer: FakeAnswer): KubeResult<T> =>
    answer.ok ? { ok: true, value: answer.object as T } : failureOf(answer.status, answer.body);
  const call = async <T>(run: () => FakeAnswer): Promise<KubeResult<T>> =>
    away() ? { ok: false, code: "unavailable", message: "away" } : result(run());
  const missing: FakeAnswer = { ok: false, status: 404, body: {} };
  const client: Pick<KubeClient, "get" | "create" | "update"> = {
    get: (_ref, { namespace, name }) =>
      call(() => {
        const object = storage.get(COLLECTION, `${namespace}/${name}`);
        return object ? { ok: true, status: 200, object } : missing;
      }),
    create: (_ref, object: KubeObject) => call(() => storage.create(COLLECTION, object)),
    update: (_ref, object: KubeObject) => call(() => storage.update(COLLECTION, object, "main")),
  };
  return client as KubeClient;
}

interface Candidate {
  readonly lease: Lease;
  readonly stop: AbortController;
  readonly end: Promise<"stopped" | "lost">;
  leads: boolean;
  away: boolean;
}

function candidate(storage: FakeStorage, time: VirtualTime, identity: string): Candidate {
  const self = { leads: false, away: false };
  const lease = createLease({
    client: clientOver(storage, () => self.away),
    name: "leader",
    namespace: "system",
    identity,
    log: silentLog,
    metrics: silentMetrics,
    time,
    random: () => 0.5,
  });
  const stop = new AbortController();
  const end = lease.run(async (signal) => {
    self.leads = true;
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    self.leads = false;
  }, stop.signal);
  return Object.assign(self, { lease, stop, end });
}

const holderOf = (storage: FakeStorage) =>
  (storage.get(COLLECTION, KEY)?.spec as { holderIdentity?: string } | undefined)?.holderIdentity;

describe("two candidates", () => {
  it("have one leader, and the other follows at once when it stops", async () => {
    const [time, storage] = [createVirtualTime(), createFakeStorage()];
    const [a, b] = [candidate(storage, time, "a"), candidate(storage, time, "b")];
    await time.advance(30_000);
    expect([a.leads, b.leads, holderOf(storage)]).toEqual([true, false, "a"]);
    expect(b.lease.holder()).toBe("a");
    a.stop.abort();
    await time.advance(2_500);
    expect(await a.end).toBe("stopped");
    expect([a.leads, b.leads, holderOf(storage)]).toEqual([false, true, "b"]);
    b.stop.abort();
    expect(await b.end).toBe("stopped");
    expect(holderOf(storage)).toBe("");
  });

  it("change places after 15 s when the leader is cut off, and the old one has given up before", async () => {
    const [time, storage] = [createVirtualTime(), createFakeStorage()];
    const a = candidate(storage, time, "a");
    await time.advance(100);
    const b = candidate(storage, time, "b");
    await time.advance(9_000);
    a.away = true;
    await time.advance(12_100);
    expect([a.leads, a.lease.valid(), a.lease.signal.aborted]).toEqual([false, false, true]);
    expect(await a.end).toBe("lost");
    expect(b.leads).toBe(false);
    await time.advance(6_000);
    expect([b.leads, holderOf(storage)]).toEqual([true, "b"]);
    b.stop.abort();
    await b.end;
  });

  it("are kept apart when the leader is stopped for a while: awake again it may write nothing", async () => {
    const [time, storage] = [createVirtualTime(), createFakeStorage()];
    const a = candidate(storage, time, "a");
    await time.advance(5_000);
    expect(a.lease.valid()).toBe(true);
    time.freeze(20_000);
    // Nothing of the process has run yet, and still it knows.
    expect(a.lease.valid()).toBe(false);
    a.stop.abort();
    await settle();
    await a.end;
  });

  it("do not believe the wall clock of the other", async () => {
    const [time, storage] = [createVirtualTime(), createFakeStorage()];
    storage.create(COLLECTION, {
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: { name: "leader", namespace: "system" },
      spec: { holderIdentity: "old", leaseDurationSeconds: 15, renewTime: "2001-01-01T00:00:00.000000Z" },
    });
    const b = candidate(storage, time, "b");
    await time.advance(14_000);
    expect(b.leads).toBe(false);
    await time.advance(4_000);
    expect(b.leads).toBe(true);
    expect(storage.get(COLLECTION, KEY)?.spec).toMatchObject({ holderIdentity: "b", leaseTransitions: 1 });
    b.stop.abort();
    await b.end;
  });
});

const act = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 8_000 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("cut" as const), who: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("join" as const), who: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("delete" as const) }) },
);

it("never lets two candidates write at once, whoever is cut off and when", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(act, { maxLength: 25 }), async (acts) => {
      const [time, storage] = [createVirtualTime(), createFakeStorage()];
      const all = ["a", "b", "c"].map((name) => candidate(storage, time, name));
      for (const one of acts) {
        const who = all["who" in one ? one.who : 0];
        if (one.do === "cut" && who) who.away = true;
        if (one.do === "join" && who) who.away = false;
        // Only when nobody leads: deleting the lease of a leader takes the mutual exclusion away by hand.
        if (one.do === "delete" && !all.some(({ leads }) => leads))
          storage.remove(COLLECTION, KEY, undefined);
        for (let left = one.do === "wait" ? one.ms : 0; left > 0; left -= 500) {
          await time.advance(Math.min(left, 500));
          expect(all.filter(({ lease }) => lease.valid()).length).toBeLessThanOrEqual(1);
        }
      }
      for (const { stop } of all) stop.abort();
      for (const one of all) one.away = false;
      await time.advance(20_000);
      await Promise.all(all.map(({ end }) => end));
    }),
    { numRuns: 25 },
  );
});
