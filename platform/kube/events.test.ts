import { afterEach, beforeEach, expect, it } from "vitest";
import { createKubeClient, type KubeClient } from "./client.ts";
import { createEventRecorder, type EventInput, type EventRecorder } from "./events.ts";
import type { KubeObject } from "./objects.ts";
import { silentLog, silentMetrics } from "./ports.ts";
import { type FakeApiServer, sendStatus, startFakeApiServer } from "./testing/fakeserver.ts";
import { createVirtualTime, type VirtualTime } from "./testing/virtualtime.ts";

let server: FakeApiServer;
let client: KubeClient;
let time: VirtualTime;
let events: EventRecorder;
beforeEach(async () => {
  server = await startFakeApiServer();
  const silent = { log: silentLog, metrics: silentMetrics };
  client = createKubeClient(server.config, { ...silent, userAgent: "tests", fieldManager: "us" });
  time = createVirtualTime();
  events = createEventRecorder({ client, controller: "tests", instance: "pod-1", log: silentLog, time });
});
afterEach(async () => {
  await client.close();
  await server.close();
});

const CENTER: KubeObject = {
  apiVersion: "cells.fulfillment.io/v1alpha1",
  kind: "FulfillmentCenter",
  metadata: { name: "seoul", uid: "uid-1" },
};
const event = (changes: Partial<EventInput> = {}): EventInput => ({
  regarding: CENTER,
  type: "Normal",
  reason: "Provisioned",
  action: "Provision",
  note: "The cell is complete.",
  ...changes,
});
const stored = () => server.storage.list("events.events.k8s.io");

it("writes an event where kubectl describe looks for it", async () => {
  events.record(event());
  await events.flush();
  expect(stored()).toMatchObject([
    {
      metadata: { namespace: "default" },
      type: "Normal",
      reason: "Provisioned",
      action: "Provision",
      note: "The cell is complete.",
      reportingController: "tests",
      reportingInstance: "pod-1",
      eventTime: "2026-01-01T00:00:00.000000Z",
      regarding: { kind: "FulfillmentCenter", name: "seoul", uid: "uid-1" },
    },
  ]);
});

it("makes one series of the same event, and another event of another note", async () => {
  for (let turn = 0; turn < 4; turn++) events.record(event());
  events.record(event({ note: "Something else." }));
  await events.flush();
  expect(
    stored()
      .map(({ series }) => (series as { count: number } | undefined)?.count)
      .sort(),
  ).toEqual([4, undefined]);
});

it("starts anew when the event has expired on the server, and after ten minutes", async () => {
  events.record(event());
  await events.flush();
  for (const { metadata } of stored())
    server.storage.remove("events.events.k8s.io", `default/${metadata.name}`, undefined);
  events.record(event());
  await events.flush();
  expect(stored().length).toBe(1);
  await time.advance(700_000);
  events.record(event());
  await events.flush();
  expect(stored().length).toBe(2);
});

it("says at most 25 things in ten minutes about one object, and leaves others their turn", async () => {
  for (let turn = 0; turn < 100; turn++) events.record(event({ note: `Number ${turn}.` }));
  events.record(event({ regarding: { ...CENTER, metadata: { name: "busan", uid: "uid-2" } } }));
  await events.flush();
  expect(stored().length).toBe(26);
  await time.advance(700_000);
  events.record(event({ note: "Later." }));
  await events.flush();
  expect(stored().length).toBe(27);
});

it("never gets in the way: what cannot be written is dropped", async () => {
  server.fail(
    () => true,
    (_request, response) => sendStatus(response, 403),
    1,
  );
  events.record(event({ note: "Lost." }));
  events.record(event({ note: "Kept.".padEnd(5_000, "x") }));
  await events.flush();
  expect(stored().map(({ note }) => String(note).length)).toEqual([1_000]);
});
