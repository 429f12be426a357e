import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { silentLogger } from "./log.ts";
import { fail } from "./problem.ts";
import { createSagaRunner, type SagaRunner, step } from "./saga.ts";
import type { Sql } from "./sql.ts";
import { createSagaWorld, type SagaWorld } from "./testing/sagaworld.ts";

interface State {
  readonly done: readonly number[];
}

/** One saga: how many steps it has, which of them are light, and which one refuses. */
interface Shape {
  readonly lights: readonly boolean[];
  readonly refuses: number | undefined;
}

let world: SagaWorld;
beforeAll(async () => {
  world = await createSagaWorld();
});
afterAll(() => world.shard.drop());

/** A process that dies after so many moments: from then on nothing of it reaches the database, nor the world. */
function startProcess(holder: string, shapes: ReadonlyMap<string, Shape>, moments: number) {
  let left = moments;
  const alive = () => {
    if (left <= 0) throw new Error("Connection terminated");
  };
  const pass = () => {
    alive();
    left--;
  };
  const mortal: Sql = {
    ...world.sql,
    async query<R>(text: string, values?: readonly unknown[]): Promise<R[]> {
      alive();
      return world.sql.query<R>(text, values);
    },
    async transaction(fn, options) {
      alive();
      return world.sql.transaction(fn, options);
    },
  };
  const runners = new Map<string, SagaRunner<State>>();
  for (const [id, { lights, refuses }] of shapes) {
    const steps = lights.map((isLight, index) =>
      step<State>({
        name: `s${index}`,
        isLight,
        async run(state) {
          alive();
          await world.tell(id, refuses === index ? `refused ${index}` : `did ${index}`);
          pass();
          return refuses === index ? fail("out-of-stock", "None left.") : { done: [...state.done, index] };
        },
        async undo(state) {
          alive();
          await world.tell(id, `undid ${index}`);
          pass();
          return state;
        },
      }),
    );
    const ended = (what: string) =>
      "INSERT INTO orders.told (saga, what) VALUES ($1, $2)".replace("$2", `'${what}'`);
    runners.set(
      id,
      createSagaRunner<State>({
        ...{ sql: mortal, schema: "orders", name: id, steps, holder, log: silentLogger() },
        afterStep: pass,
        // Not forgiving: what ends a second time fails.
        async finishAll(tx, all) {
          for (const one of all) await tx.query(ended("finished"), [one.id]);
        },
        async abandon(tx, one) {
          await tx.query(ended("abandoned"), [one]);
        },
      }),
    );
  }
  return runners;
}

/** What the world has to have seen in the end, whoever died when. */
function wanted({ lights, refuses }: Shape): string[] {
  if (refuses === undefined) return [...lights.keys()].map((index) => `did ${index}`).concat("finished");
  const before = Array.from({ length: refuses }, (_, index) => `did ${index}`);
  const back = Array.from({ length: refuses + 1 }, (_, index) => `undid ${refuses - index}`);
  return [...before, `refused ${refuses}`, ...back, "abandoned"];
}

/**
 * Undone beyond the step that refused: what another process may have run over light steps. It is undone to be safe, before the others, and
 * only there.
 */
function beyond({ lights, refuses }: Shape, all: readonly string[]): string[] {
  const extra = all.filter(
    (what) => Number(/^undid (\d+)$/.exec(what)?.[1] ?? -1) > (refuses ?? lights.length),
  );
  for (const what of extra) {
    const to = Number(what.split(" ")[1]);
    expect(lights.slice(refuses, to).every(Boolean)).toBe(true);
    expect(all.indexOf(what)).toBeLessThan(all.indexOf(`undid ${to - 1}`));
  }
  return extra;
}

const shapeArb: fc.Arbitrary<Shape> = fc.array(fc.boolean(), { minLength: 1, maxLength: 4 }).chain((lights) =>
  fc.record({
    lights: fc.constant(lights),
    refuses: fc.option(fc.nat(lights.length - 1), { nil: undefined }),
  }),
);
const livesArb = fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 4 });
const FOREVER = 1_000_000;
let runs = 0;

test("whoever dies after whichever moment, every saga does each thing once, in order, and ends as its steps say", async () => {
  let deaths = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(shapeArb, { minLength: 1, maxLength: 3 }), livesArb, async (shapes, lives) => {
      const run = runs++;
      const named = new Map(shapes.map((shape, index) => [`model-${run}-${index}`, shape]));
      const expire = (id: string) =>
        world.shard.admin.query(
          "UPDATE orders.saga SET lease_until = now() - INTERVAL '1 second' WHERE id = $1 AND direction IN ('forward', 'backward')",
          [id],
        );
      const starter = startProcess(`starter-${run}`, named, FOREVER);
      for (const [id, runner] of starter)
        await world.sql.transaction((tx) => runner.start(tx, id, { done: [] }));
      for (const [life, moments] of [...lives, FOREVER].entries()) {
        for (const id of named.keys()) await expire(id);
        const runners = startProcess(`holder-${run}-${life}`, named, moments);
        // The sagas of one process run side by side, and die together.
        const ends = await Promise.allSettled([...runners].map(([id, runner]) => runner.run(id)));
        if (ends.some(({ status }) => status === "rejected")) deaths++;
      }
      for (const [id, shape] of named) {
        const outcome = await starter.get(id)?.find(id);
        expect(outcome?.status).toBe(shape.refuses === undefined ? "done" : "undone");
        const all = await world.seen(id);
        const extra = beyond(shape, all);
        expect(all.filter((what) => !extra.includes(what))).toEqual(wanted(shape));
      }
    }),
    { numRuns: 60 },
  );
  expect(deaths).toBeGreaterThan(0);
});
