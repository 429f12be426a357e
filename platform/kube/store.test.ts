import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Change, createStore } from "./store.ts";
import { type Widget, widgetAt } from "./testing/objects.ts";

const byColor = { indexers: { color: (object: Widget) => (object.spec?.color ? [object.spec.color] : []) } };
const stateOf = (store: { list(): Widget[] }) =>
  Object.fromEntries(store.list().map(({ metadata, spec }) => [metadata.name, spec]));

/** What happened on a server: version 1, 2, 3, ... each a put or a deletion of one of three objects. */
const history = fc.array(
  fc.record({
    name: fc.constantFrom("a", "b", "c"),
    color: fc.option(fc.constantFrom("red", "blue"), { nil: undefined }),
  }),
  { maxLength: 30 },
);

describe("frames that come twice or late", () => {
  it("lead to the same state in whatever order", () => {
    const scenario = history.chain((events) =>
      fc.tuple(
        fc.constant(events),
        fc.shuffledSubarray([...events.keys(), ...events.keys()], { minLength: events.length * 2 }),
      ),
    );
    fc.assert(
      fc.property(scenario, ([events, order]) => {
        const expected: Record<string, unknown> = {};
        for (const { name, color } of events) {
          if (color === undefined) delete expected[name];
          else expected[name] = { color };
        }
        const store = createStore<Widget>(byColor);
        for (const index of order) {
          const { name, color } = events[index] ?? { name: "a", color: undefined };
          const object = widgetAt(name, index + 1, color === undefined ? {} : { color });
          if (color === undefined) store.remove(object);
          else store.put(object);
        }
        expect(stateOf(store)).toEqual(expected);
        for (const color of ["red", "blue"])
          expect(
            store
              .byIndex("color", color)
              .map(({ metadata }) => metadata.name)
              .sort(),
          ).toEqual(
            Object.keys(expected)
              .filter((name) => (expected[name] as Widget["spec"])?.color === color)
              .sort(),
          );
      }),
    );
  });
});

describe("replace", () => {
  it("marks what came with the first list, and nothing after it", () => {
    const store = createStore<Widget>();
    const seen: string[] = [];
    store.onChange(({ type, key, initial }) => seen.push(`${type} ${key} ${initial ?? false}`));
    store.replace([widgetAt("a", 1)], "1");
    store.put(widgetAt("b", 2));
    store.replace([widgetAt("a", 1), widgetAt("b", 2), widgetAt("c", 3)], "3");
    expect(seen).toEqual(["added shop/a true", "added shop/b false", "added shop/c false"]);
  });
  it("tells exactly the difference", () => {
    const store = createStore<Widget>();
    store.replace([widgetAt("a", 1), widgetAt("b", 2), widgetAt("c", 3)], "3");
    const seen: string[] = [];
    store.onChange(({ type, key }) => seen.push(`${type} ${key}`));
    store.replace([widgetAt("b", 2), widgetAt("c", 7), widgetAt("d", 8)], "8");
    expect(seen).toEqual(["deleted shop/a", "modified shop/c", "added shop/d"]);
    expect(store.resourceVersion()).toBe("8");
  });
  it("believes a list that is older than what is held: the server's data was restored", () => {
    const store = createStore<Widget>();
    store.replace([widgetAt("a", 90, { size: 9 })], "90");
    store.replace([widgetAt("a", 10, { size: 1 })], "10");
    expect(stateOf(store)).toEqual({ a: { size: 1 } });
    expect(store.resourceVersion()).toBe("10");
    store.put(widgetAt("a", 11, { size: 2 }));
    expect(stateOf(store)).toEqual({ a: { size: 2 } });
  });
});

describe("a store", () => {
  it("says that it is synced after the first list only", () => {
    const store = createStore<Widget>();
    store.put(widgetAt("a", 1));
    expect(store.hasSynced()).toBe(false);
    store.replace([], "5");
    expect(store.hasSynced()).toBe(true);
  });
  it("hands out objects that nobody can change", () => {
    const store = createStore<Widget>();
    store.put(widgetAt("a", 1, { size: 1 }));
    const found = store.get("shop/a");
    expect(() => Object.assign(found?.spec ?? {}, { size: 2 })).toThrow(TypeError);
  });
  it("gives the state before with each change, and stops when asked", () => {
    const store = createStore<Widget>();
    const changes: Change<Widget>[] = [];
    const stop = store.onChange((change) => changes.push(change));
    store.put(widgetAt("a", 1, { size: 1 }));
    store.put(widgetAt("a", 2, { size: 2 }));
    store.remove(widgetAt("a", 3, { size: 2 }));
    stop();
    store.put(widgetAt("a", 4));
    expect(changes.map(({ type, previous }) => [type, previous?.spec?.size])).toEqual([
      ["added", undefined],
      ["modified", 1],
      ["deleted", 2],
    ]);
  });
  it("moves its version forward only", () => {
    const store = createStore<Widget>();
    store.replace([], "10");
    store.advance("12");
    store.advance("11");
    expect(store.resourceVersion()).toBe("12");
  });
  it("names an index that is not there", () => {
    expect(() => createStore<Widget>().byIndex("color", "red")).toThrow('no index "color"');
  });
});
