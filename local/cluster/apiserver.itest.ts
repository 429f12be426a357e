import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createApi } from "./api.ts";
import { type ApiServer, startApiServer } from "./apiserver.ts";
import { startTicksOf } from "./process.ts";
import { silentReport } from "./report.ts";
import { eventually } from "./testing.ts";

const parent = mkdtempSync(join(tmpdir(), "apiserver-"));
const dir = join(parent, "server");
const report = silentReport();
let server: ApiServer;

const api = () => createApi(server.url, join(dir, "certs"));
const configMap = (name: string) => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "default" },
  data: { key: "value" },
});

beforeAll(async () => {
  server = await startApiServer({ dir, report, auditLog: true });
});

afterAll(async () => {
  await server.stop();
  rmSync(parent, { recursive: true, force: true });
});

it("writes down who did what to which object", async () => {
  await api().apply([configMap("audited")]);
  await eventually(async () => {
    const events = readFileSync(server.auditLogPath, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const found = events.filter((event) => event.objectRef?.name === "audited" && event.verb === "patch");
    expect(found).toMatchObject([
      { user: { username: "local-admin" }, level: "Metadata", stage: "ResponseComplete" },
    ]);
  });
});

it("runs the controllers: a namespace gets its service account, and is removed with what is in it", async () => {
  await api().apply([{ apiVersion: "v1", kind: "Namespace", metadata: { name: "short" } }]);
  const path = "/api/v1/namespaces/short";
  await eventually(() => api().get(`${path}/serviceaccounts/default`));
  await api().call("DELETE", path);
  await eventually(async () => expect((await api().call("GET", path)).status).toBe(404));
});

it("has the same data and address after the API server was killed", async () => {
  await api().apply([configMap("kept")]);
  const { url, pids } = server;
  await server.restart();
  expect(server.url).toBe(url);
  expect(server.pids.filter((pid) => !pids.includes(pid))).toHaveLength(1);
  expect(await api().get("/api/v1/namespaces/default/configmaps/kept")).toMatchObject({
    data: { key: "value" },
  });
});

/** Status of a GET; rejects when the connection is refused. */
function statusOf(url: string, tls: object): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { ...tls, agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    });
    sent.on("error", reject);
    sent.end();
  });
}

it("lets nobody read the database without its certificate, and nobody the API without one", async () => {
  const file = (name: string): Buffer => readFileSync(join(dir, "certs", name));
  const state = readFileSync(join(dir, "state.json"), "utf8");
  const etcd = `${/listen-client-urls=(https:[^"]+)"/.exec(state)?.[1]}/version`;
  const ca = file("etcd-ca.crt");
  expect(await statusOf(etcd, { ca, cert: file("etcd.crt"), key: file("etcd.key") })).toBe(200);
  await expect(statusOf(etcd, { ca })).rejects.toThrow(/certificate required/);
  await expect(statusOf(etcd, { ca, cert: file("admin.crt"), key: file("admin.key") })).rejects.toThrow();
  const secrets = `${server.url}/api/v1/secrets`;
  expect(await statusOf(secrets, { ca: file("ca.crt") })).toBe(403);
});

it("starts from nothing in a folder that an earlier run left, and ends what that run had started", async () => {
  await api().apply([configMap("forgotten")]);
  const old = [...server.pids];
  server = await startApiServer({ dir, report });
  expect(old.filter((pid) => startTicksOf(pid) !== undefined)).toEqual([]);
  expect((await api().call("GET", "/api/v1/namespaces/default/configmaps/forgotten")).status).toBe(404);
  expect(existsSync(server.auditLogPath)).toBe(false);
});

it("leaves no process and no folder behind", async () => {
  const pids = [...server.pids];
  await server.stop();
  expect(pids.filter((pid) => startTicksOf(pid) !== undefined)).toEqual([]);
  expect(existsSync(dir)).toBe(false);
});

it("runs without controllers where they would get in the way", async () => {
  server = await startApiServer({ dir, report, withControllers: false });
  expect(server.pids).toHaveLength(2);
  await api().apply([configMap("plain")]);
});
