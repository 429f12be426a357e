import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { freePorts } from "../../local/ports.ts";
import { eventually } from "../../platform/testing/stores.ts";
import { readinessAnswer } from "./contract.ts";
import { answerJson, type CellServer, startCellServer } from "./testing/cellserver.ts";
import { type Child, endChild, startChild } from "./testing/process.ts";
import { type Region, startRegion } from "./testing/region.ts";

/** The gateway as a process, asked to stop while a request is under way. */
let region: Region;
let cell: CellServer;
let gateway: Child | undefined;
let stateDir: string;
beforeAll(async () => {
  region = await startRegion();
  cell = await startCellServer("seoul", region.gatewayKey.privateJwk);
  stateDir = join(region.dir, "state");
  await mkdir(stateDir);
  await writeFile(join(region.dir, "table.json"), JSON.stringify({ version: 1, cells: [cell.entry] }));
});
afterAll(async () => {
  await endChild(gateway);
  await cell?.close();
  await region?.close();
});

const readiness = async (child: Child) => {
  const response = await fetch(`${child.url}/readyz`);
  return { status: response.status, body: readinessAnswer.parse(await response.json()) };
};

it("says first that it is not ready, lets the request end, takes nothing new and exits 0", async () => {
  const [port = 0] = await freePorts(1);
  const more = { REGION: "local", ROUTING_TABLE_FILE: join(region.dir, "table.json"), DRAIN_MS: "3000" };
  gateway = startChild("gateway", port, region.envOf(stateDir, more));
  const child = gateway;
  await eventually(async () => (await readiness(child)).status === 200);
  expect((await readiness(child)).body.routingTable).toMatchObject({ version: 1, from: "file" });
  const document = (await (await fetch(`${child.url}/openapi.json`)).json()) as { openapi: string };
  expect(document.openapi).toBe("3.1.0");

  let finish = () => {};
  cell.answer = (request, response) => {
    if (request.url?.endsWith("/quick")) return answerJson(response, 200, { quick: true });
    finish = () => answerJson(response, 200, { late: true });
  };
  const headers = { authorization: `Bearer ${await region.token({ sub: "sam", roles: ["customer"] })}` };
  const ask = (path: string) => fetch(`${child.url}/v1/centers/seoul/orders/${path}`, { headers });
  const slow = ask("slow");
  await eventually(async () => cell.taken.length === 1);

  child.kill("SIGTERM");
  // While it drains it is not ready and still answers: who sends it requests has time to hear of it.
  const draining = await eventually(async () => {
    const said = await readiness(child);
    return said.status === 503 && said;
  });
  expect(draining.body).toMatchObject({ ok: false, checks: { process: "stopping", "routing-table": "ok" } });
  expect(await (await ask("quick")).json()).toEqual({ quick: true });

  await eventually(async () =>
    ask("quick").then(
      () => false,
      () => true,
    ),
  );
  finish();
  const answer = await slow;
  expect({ status: answer.status, body: await answer.json() }).toEqual({ status: 200, body: { late: true } });
  expect(await child.ended).toBe(0);
});
