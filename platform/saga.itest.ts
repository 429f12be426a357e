import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { silentLogger } from "./log.ts";
import { fail } from "./problem.ts";
import {
  createSagaRunner,
  type Later,
  later,
  type SagaOptions,
  type SagaRunner,
  type SagaStep,
  step,
  sweepSagas,
} from "./saga.ts";
import type { Sql } from "./sql.ts";
import { createSagaWorld, type SagaWorld } from "./testing/sagaworld.ts";

interface State {
  readonly done: readonly string[];
}

let world: SagaWorld;
beforeAll(async () => {
  world = await createSagaWorld();
});
afterAll(() => world.shard.drop());

/** A process: a holder with a line to the database that ends when it dies. */
function processOf(holder: string, inner: Sql = world.sql) {
  const life = { isDead: false };
  const check = () => {
    if (life.isDead) throw new Error("Connection terminated");
  };
  const mortal: Sql = {
    ...inner,
    async query<R>(text: string, values?: readonly unknown[]): Promise<R[]> {
      check();
      return inner.query<R>(text, values);
    },
    async transaction(fn, options) {
      check();
      return inner.transaction(fn, options);
    },
  };
  return {
    holder,
    sql: mortal,
    die() {
      life.isDead = true;
    },
  };
}
type Process = ReturnType<typeof processOf>;

/** Three steps, the last of which refuses if told to; `moment` hears of each step's effect and of each durable move. */
function runnerOf(
  process: Process,
  change: {
    readonly refuses?: boolean;
    readonly moment?: (name: string) => unknown;
    readonly steps?: readonly SagaStep<State>[];
  } & Partial<Pick<SagaOptions<State>, "maxAttempts">> = {},
): SagaRunner<State> {
  const { moment = () => {} } = change;
  const named = (name: string) =>
    step<State>({
      name,
      async run(state, { id }) {
        const refused = change.refuses === true && name === "c";
        await world.tell(id, refused ? `refused ${name}` : name);
        await moment(`ran ${name}`);
        return refused ? fail("out-of-stock", "None left.") : { done: [...state.done, name] };
      },
      async undo(state, { id }) {
        await world.tell(id, `undone ${name}`);
        await moment(`undid ${name}`);
        return state;
      },
    });
  return createSagaRunner<State>({
    sql: process.sql,
    schema: "orders",
    name: "test",
    holder: process.holder,
    log: silentLogger(),
    steps: change.steps ?? ["a", "b", "c"].map(named),
    ...(change.maxAttempts === undefined ? {} : { maxAttempts: change.maxAttempts }),
    afterStep: (_id, name) => void moment(name),
    async finish(tx, id) {
      await tx.query("INSERT INTO orders.told (saga, what) VALUES ($1, 'finished')", [id]);
    },
    async abandon(tx, id) {
      await tx.query("INSERT INTO orders.told (saga, what) VALUES ($1, 'abandoned')", [id]);
    },
  });
}

/** Three steps that are not written down one by one. */
function lightSteps(moment: (name: string) => unknown = () => {}): SagaStep<State>[] {
  return ["a", "b", "c"].map((name) =>
    step<State>({
      ...{ name, isLight: true },
      async run(state, { id }) {
        await world.tell(id, name);
        moment(`ran ${name}`);
        return { done: [...state.done, name] };
      },
      async undo(state, { id }) {
        await world.tell(id, `undone ${name}`);
        return state;
      },
    }),
  );
}

let sagas = 0;
async function started(runner: SagaRunner<State>, by: Process): Promise<string> {
  const id = `saga-${sagas++}`;
  await by.sql.transaction((tx) => runner.start(tx, id, { done: [] }));
  return id;
}
const leaseIsOver = (id: string) =>
  world.shard.admin.query("UPDATE orders.saga SET lease_until = now() - INTERVAL '1 second' WHERE id = $1", [
    id,
  ]);
const rowOf = async (id: string) =>
  (
    await world.shard.admin.query<{ direction: string; position: number; owner: string; attempts: number }>(
      "SELECT direction, position, owner, attempts FROM orders.saga WHERE id = $1",
      [id],
    )
  )[0];

const FORWARD = ["a", "b", "c", "finished"];
const BACKWARD = ["a", "b", "refused c", "undone c", "undone b", "undone a", "abandoned"];

describe("killed at any moment, another process goes on from the log", () => {
  test.each(["ran a", "forward:1", "ran b", "forward:2", "ran c", "forward:3", "done:3"])(
    "on the way forward: %s",
    (moment) => killedAt(moment, false, FORWARD),
  );
  test.each([
    "ran c",
    "backward:2",
    "undid c",
    "backward:1",
    "undid b",
    "backward:0",
    "undid a",
    "backward:-1",
    "undone:-1",
  ])("on the way back: %s", (moment) => killedAt(moment, true, BACKWARD));

  async function killedAt(moment: string, refuses: boolean, expected: readonly string[]): Promise<void> {
    const first = processOf(`first-${moment}`);
    let reached = false;
    const dying = runnerOf(first, {
      refuses,
      moment(name) {
        if (name !== moment || reached) return;
        reached = true;
        first.die();
      },
    });
    const id = await started(dying, first);
    await dying.run(id).catch(() => undefined);
    expect(reached).toBe(true);
    const ends = /^(done|undone)/.test(moment);

    const ran: string[] = [];
    const heir = runnerOf(processOf("heir"), { refuses, moment: (name) => void ran.push(name) });
    // Before the lease is over it belongs to the dead one.
    if (!ends) expect(await heir.run(id)).toEqual({ status: "pending" });
    expect(ran).toEqual([]);
    await leaseIsOver(id);
    const outcome = await heir.run(id);
    expect(outcome).toMatchObject(
      refuses
        ? { status: "undone", state: { done: ["a", "b"] }, failure: { code: "out-of-stock" } }
        : { status: "done", state: { done: ["a", "b", "c"] } },
    );
    expect(await world.seen(id)).toEqual(expected);
    // What was durable is not run again.
    if (/^(forward|backward):/.test(moment)) expect(ran).not.toContain(moment);
    if (ends) expect(ran).toEqual([]);
    expect(await heir.run(id)).toEqual(outcome);
  }

  test.each(["ran b", "forward:2", "ran c", "forward:3"])(
    "light steps leave nothing behind on their way, and are done again: %s",
    async (moment) => {
      const first = processOf(`light-${moment}`);
      const die = (name: string) => name === moment && first.die();
      const dying = runnerOf(first, { steps: lightSteps(die), moment: die });
      const id = await started(dying, first);
      await dying.run(id, { done: [] }).catch(() => undefined);
      expect(await rowOf(id)).toMatchObject({ direction: "forward", position: 0, attempts: 0 });
      await leaseIsOver(id);
      expect(await runnerOf(processOf("light heir"), { steps: lightSteps() }).run(id)).toMatchObject({
        ...{ status: "done", state: { done: ["a", "b", "c"] } },
      });
      expect(await world.seen(id)).toEqual(FORWARD);
    },
  );

  test("an heir that fails early undoes what its predecessor did later", async () => {
    const first = processOf("far");
    const id = await started(runnerOf(first), first);
    await runnerOf(first, { steps: lightSteps((name) => name === "ran c" && first.die()) })
      .run(id, { done: [] })
      .catch(() => undefined);
    await leaseIsOver(id);
    const [, ...later] = lightSteps();
    const refusing = step<State>({
      ...{ name: "a", isLight: true, run: async () => fail("out-of-stock", "None left.") },
    });
    const heir = runnerOf(processOf("early"), { steps: [refusing, ...later] });
    expect(await heir.run(id)).toMatchObject({ status: "undone", failure: { code: "out-of-stock" } });
    expect(await world.seen(id)).toEqual(["a", "b", "c", "undone c", "undone b", "abandoned"]);
  });

  test("the same saga asked for twice in one process runs once", async () => {
    const own = processOf("twice");
    const ran: string[] = [];
    const runner = runnerOf(own, { moment: (name) => void ran.push(name) });
    const id = await started(runner, own);
    const outcomes = await Promise.all([runner.run(id, { done: [] }), runner.run(id), runner.run(id)]);
    for (const outcome of outcomes) expect(outcome).toMatchObject({ status: "done" });
    expect(ran.filter((name) => name === "ran a")).toHaveLength(1);
  });

  test("the worker takes what nobody owns, and of two workers one", async () => {
    const gone = processOf("gone");
    const ids = await Promise.all(Array.from({ length: 5 }, () => started(runnerOf(gone), gone)));
    for (const id of ids) await leaseIsOver(id);
    const ran: string[] = [];
    const worker = (holder: string) =>
      runnerOf(processOf(holder), { moment: (name) => name.startsWith("done") && void ran.push(name) });
    await Promise.all([worker("left").resume(10), worker("right").resume(10)]);
    expect(ran).toHaveLength(ids.length);
    for (const id of ids) expect(await world.seen(id)).toEqual(FORWARD);
  });
});

describe("what does not work", () => {
  const never = (how: "later" | "throws", counts: { run: number }): SagaStep<State> =>
    step<State>({
      name: "never",
      async run(): Promise<Later> {
        counts.run++;
        if (how === "throws") throw new Error("a bug");
        return later("no answer");
      },
      async undo(state, { id }) {
        await world.tell(id, "undone never");
        return state;
      },
    });

  test.each(["later", "throws"] as const)(
    "a step that says %s is put off so often and no more; then it goes back",
    async (how) => {
      const counts = { run: 0 };
      const own = processOf("patient");
      const runner = runnerOf(own, { steps: [never(how, counts)], maxAttempts: 3 });
      const id = await started(runner, own);
      for (let round = 1; round <= 2; round++) {
        expect(await runner.run(id)).toEqual({ status: "pending" });
        expect(await rowOf(id)).toMatchObject({ direction: "forward", owner: "", attempts: round });
        await leaseIsOver(id);
      }
      expect(await runner.run(id)).toMatchObject({ status: "undone", failure: { code: "unavailable" } });
      expect(counts.run).toBe(3);
      expect(await world.seen(id)).toEqual(["undone never", "abandoned"]);
    },
  );

  test("the way back is never given up: somebody's money may lie on it", async () => {
    let isAway = true;
    const stubborn = step<State>({
      name: "stubborn",
      run: async () => fail("conflict", "No."),
      undo: async (state) => (isAway ? later("no answer") : state),
    });
    const own = processOf("stubborn");
    const runner = runnerOf(own, { steps: [stubborn], maxAttempts: 2 });
    const id = await started(runner, own);
    for (let round = 1; round <= 6; round++) {
      expect(await runner.run(id)).toEqual({ status: "pending" });
      expect(await rowOf(id)).toMatchObject({ direction: "backward", attempts: round });
      await leaseIsOver(id);
    }
    isAway = false;
    expect(await runner.run(id)).toMatchObject({ status: "undone", failure: { code: "conflict" } });
  });
});

describe("a copy of the cell that is fenced off", () => {
  test("ends in the middle, writes nothing more, and the copy in force goes on", async () => {
    const old = processOf("old");
    const fenced = runnerOf(old, {
      moment(name) {
        if (name === "ran b") return world.shard.admin.query("UPDATE cell.lease SET epoch = 2");
      },
    });
    try {
      const id = await started(fenced, old);
      const before = await fenced.run(id);
      expect(before).toEqual({ status: "pending" });
      expect(await rowOf(id)).toEqual({ direction: "forward", position: 1, owner: "old", attempts: 0 });
      await leaseIsOver(id);
      // Nor does it take it back when its time is over.
      const other = processOf("old-too");
      expect(await runnerOf(other).run(id)).toEqual({ status: "pending" });
      await expect(runnerOf(other).resume(5)).rejects.toThrow("epoch");
      expect(await rowOf(id)).toMatchObject({ position: 1, owner: "old" });
      const inForce = processOf("new", world.sql.withEpoch(2));
      expect(await runnerOf(inForce).run(id)).toMatchObject({ status: "done" });
      expect(await world.seen(id)).toEqual(FORWARD);
    } finally {
      await world.shard.admin.query("UPDATE cell.lease SET epoch = 1");
    }
  });
});

test("what ended long ago is forgotten a bite at a time; what is under way never is", async () => {
  const own = processOf("sweeper");
  const runner = runnerOf(own);
  const [old, young] = [await started(runner, own), await started(runner, own)];
  await runner.run(young);
  await world.shard.admin.query(
    `INSERT INTO orders.saga (id, name, state, position, direction, owner, lease_until)
     SELECT 'old-' || n, 'test', '{}', 3, CASE WHEN n % 2 = 0 THEN 'done' ELSE 'undone' END, '', now() - INTERVAL '32 days'
     FROM generate_series(1, 15) AS n`,
  );
  await world.shard.admin.query(
    "UPDATE orders.saga SET lease_until = now() - INTERVAL '90 days' WHERE id = $1",
    [old],
  );
  expect(await sweepSagas(world.sql, "orders", 10)).toBe(10);
  expect(await sweepSagas(world.sql, "orders", 10)).toBe(5);
  expect(await sweepSagas(world.sql, "orders", 10)).toBe(0);
  expect(await runner.run("old-1")).toEqual({ status: "forgotten" });
  expect(await rowOf(old)).toMatchObject({ direction: "forward" });
  expect(await runner.run(young)).toMatchObject({ status: "done" });
});
