import { createServer } from "node:net";
import { expect, it } from "vitest";
import { createVirtualTime } from "../platform/kube/testing/virtualtime.ts";
import { BROKER_LOOK_MS, createBrokerWatch, reachBrokers } from "./brokers.ts";

/** A watch in virtual time; `up` are the lists that answer, `asked` each look at one. */
function scene(lists: string[], answering: readonly string[]) {
  const time = createVirtualTime();
  const up = new Set(answering);
  const changes: string[] = [];
  const asked: string[] = [];
  const watch = createBrokerWatch({
    time,
    inUse: () => lists,
    reach: async (list) => {
      asked.push(list);
      return up.has(list);
    },
    onChange: (list) => changes.push(`${list} ${watch.of(list).state}`),
  });
  const stop = new AbortController();
  const running = watch.run(stop.signal);
  const looks = (count: number) => time.advance(count * BROKER_LOOK_MS);
  return { time, up, changes, asked, watch, stop, running, looks };
}

it("misses only what has answered before, at the second miss, and says each change once", async () => {
  const { up, changes, watch, looks, stop, running } = scene(["a:9092", "b:9092"], ["a:9092"]);
  await looks(3);
  expect(changes).toEqual(["a:9092 reached"]);
  expect(watch.of("b:9092").state).toBe("unknown");
  up.clear();
  await looks(1);
  expect(watch.of("a:9092").state).toBe("reached");
  await looks(4);
  expect(changes).toEqual(["a:9092 reached", "a:9092 away"]);
  up.add("a:9092");
  await looks(1);
  up.clear();
  await looks(1);
  up.add("a:9092");
  await looks(1);
  expect(changes).toEqual(["a:9092 reached", "a:9092 away", "a:9092 reached"]);
  stop.abort();
  await running;
});

it("looks once at what many centers share, at no more than 64 lists, and forgets those that nobody uses", async () => {
  const lists = Array.from({ length: 200 }, (_, n) => `kafka-${n % 100}:9092`);
  const { asked, watch, looks, stop, running, time } = scene(lists, ["kafka-0:9092"]);
  await looks(0);
  expect(asked).toHaveLength(64);
  expect(watch.of("kafka-0:9092").state).toBe("reached");
  lists.splice(0, lists.length, "other:9092");
  await looks(1);
  expect(asked).toHaveLength(65);
  expect(watch.of("kafka-0:9092").state).toBe("unknown");
  stop.abort();
  await running;
  expect(time.pending).toBe(0);
});

it("reaches a list when one of its brokers takes a connection", async () => {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  expect(await reachBrokers(`127.0.0.1:1,127.0.0.1:${port}`)).toBe(true);
  await new Promise((resolve) => server.close(resolve));
  expect(await reachBrokers(`127.0.0.1:1,127.0.0.1:${port}`)).toBe(false);
});
