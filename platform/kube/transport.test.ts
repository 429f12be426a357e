import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createKubeClient, type KubeClient } from "./client.ts";
import { type ClusterConfig, podConfig } from "./config.ts";
import { silentLog, silentMetrics } from "./ports.ts";
import { type FakeApiServer, sendStatus, startFakeApiServer } from "./testing/fakeserver.ts";
import { WIDGET, widget } from "./testing/objects.ts";
import { until } from "./testing/until.ts";
import { createVirtualTime } from "./testing/virtualtime.ts";

const COLLECTION = "widgets.tests.fulfillment.io";
const NAME = { namespace: "shop", name: "a" };
/** More than the pool of calls has connections. */
const MANY = 40;

let server: FakeApiServer;
let client: KubeClient;
let folder: string;
beforeEach(async () => {
  server = await startFakeApiServer();
  server.storage.create(COLLECTION, widget("a"));
  folder = mkdtempSync(join(tmpdir(), "credentials-"));
});
afterEach(async () => {
  await client.close();
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

function connect(config: ClusterConfig): void {
  const silent = { log: silentLog, metrics: silentMetrics };
  client = createKubeClient(config, { ...silent, userAgent: "tests", fieldManager: "tests" });
}

describe("the credentials of a pod", () => {
  const write = (token: string, ca = "certificate") => {
    writeFileSync(join(folder, "token"), `${token}\n`);
    writeFileSync(join(folder, "ca.crt"), ca);
  };
  const sent = () => server.requests.map(({ headers }) => headers.authorization);

  it("are read again from their files after a minute, and not before", async () => {
    const time = createVirtualTime();
    write("first");
    connect({ ...podConfig(folder, "server", "443", time), server: server.config.server });
    await client.get(WIDGET, NAME);
    write("second");
    await time.advance(59_000);
    await client.get(WIDGET, NAME);
    await time.advance(2_000);
    await client.get(WIDGET, NAME);
    expect(sent()).toEqual(["Bearer first", "Bearer first", "Bearer second"]);
  });
  it("are read again at once when the server refuses them", async () => {
    write("first");
    connect({ ...podConfig(folder, "server"), server: server.config.server });
    await client.get(WIDGET, NAME);
    write("second");
    server.fail(
      ({ headers }) => headers.authorization === "Bearer first",
      (_request, response) => sendStatus(response, 401),
    );
    expect((await client.get(WIDGET, NAME)).ok).toBe(true);
    expect(sent()).toEqual(["Bearer first", "Bearer first", "Bearer second"]);
  });
  it("with another certificate authority open new connections, and only then", async () => {
    const time = createVirtualTime();
    const ports: (number | undefined)[] = [];
    server.fail(
      () => true,
      (_request, response, proceed) => {
        ports.push(response.socket?.remotePort);
        return proceed();
      },
      10,
    );
    write("first", "old authority");
    connect({ ...podConfig(folder, "server", "443", time), server: server.config.server });
    await client.get(WIDGET, NAME);
    write("second", "old authority");
    await time.advance(61_000);
    await client.get(WIDGET, NAME);
    write("second", "new authority");
    await time.advance(61_000);
    await client.get(WIDGET, NAME);
    expect(ports[1]).toBe(ports[0]);
    expect(ports[2]).not.toBe(ports[0]);
  });
});

describe("calls and watches", () => {
  const openWatch = (signal: AbortSignal) =>
    client.watch(WIDGET, { resourceVersion: "100", timeoutSeconds: 60, signal });

  it("do not wait for each other, however many watches are open", async () => {
    connect(server.config);
    const stop = new AbortController();
    const opened = await Promise.all(Array.from({ length: MANY }, () => openWatch(stop.signal)));
    expect(opened.every(({ ok }) => ok)).toBe(true);
    expect(server.openWatches).toBe(MANY);
    expect((await client.get(WIDGET, NAME)).ok).toBe(true);
    stop.abort();
  });
  it("do not wait for each other, however many calls hang", async () => {
    connect(server.config);
    const stop = new AbortController();
    server.fail(
      ({ verb }) => verb === "get",
      () => {},
      MANY,
    );
    const hanging = Array.from({ length: MANY }, () => client.get(WIDGET, NAME, { signal: stop.signal }));
    await until("calls hang", () => server.requests.length >= 32);
    expect((await openWatch(stop.signal)).ok).toBe(true);
    stop.abort();
    for (const result of await Promise.all(hanging)) expect(result).toMatchObject({ code: "aborted" });
  });
});
