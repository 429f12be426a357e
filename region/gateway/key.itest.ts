import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { freePorts } from "../../local/ports.ts";
import { eventually } from "../../platform/testing/stores.ts";
import { generateKey, type KeyPair } from "../../platform/trust.ts";
import { answerJson, type CellServer, startCellServer } from "./testing/cellserver.ts";
import { type Child, endChild, startChild } from "./testing/process.ts";
import { type Region, startRegion } from "./testing/region.ts";

/** The gateway as a process, whose key is replaced while it serves. */
let region: Region;
let next: KeyPair;
let cell: CellServer;
let gateway: Child | undefined;
beforeAll(async () => {
  region = await startRegion();
  next = await generateKey();
  cell = await startCellServer("seoul", region.gatewayKey.privateJwk, next.privateJwk);
  await mkdir(join(region.dir, "state"));
  await writeFile(join(region.dir, "table.json"), JSON.stringify({ version: 1, cells: [cell.entry] }));
});
afterAll(async () => {
  await endChild(gateway);
  await cell?.close();
  await region?.close();
});

/** Puts another text in the key file's place at once, as a kubelet does. */
async function replaceKey(text: string): Promise<void> {
  const file = join(region.dir, "gateway-key.jwk");
  await writeFile(`${file}.new`, text, { mode: 0o600 });
  await rename(`${file}.new`, file);
}

it("signs with a new key soon after it has it, refuses nobody meanwhile, and keeps its key when the file is broken", async () => {
  const [port = 0] = await freePorts(1);
  const more = { REGION: "local", ROUTING_TABLE_FILE: join(region.dir, "table.json") };
  gateway = startChild("gateway", port, region.envOf(join(region.dir, "state"), more));
  const child = gateway;
  await eventually(() => fetch(`${child.url}/readyz`).then(({ ok }) => ok));
  let signedBy: unknown;
  cell.answer = (request, response) => {
    const [head = ""] = `${request.headers.authorization}`.replace("Bearer ", "").split(".");
    signedBy = (JSON.parse(Buffer.from(head, "base64url").toString()) as { kid?: string }).kid;
    answerJson(response, 200, {});
  };
  const token = await region.token({ sub: "sam", roles: ["customer"] });
  const statuses = new Set<number>();
  const ask = async () => {
    const headers = { authorization: `Bearer ${token}` };
    statuses.add((await fetch(`${child.url}/v1/centers/seoul/orders/things`, { headers })).status);
    return signedBy;
  };
  expect(await ask()).toBe(region.gatewayKey.publicJwk.kid);

  await replaceKey('{"half');
  expect(await child.said("a background worker failed")).toMatchObject({ worker: "key" });
  expect(await ask()).toBe(region.gatewayKey.publicJwk.kid);

  await replaceKey(JSON.stringify(next.privateJwk));
  await eventually(async () => (await ask()) === next.publicJwk.kid, 60_000);
  for (let count = 0; count < 20; count++) {
    expect(await ask()).toBe(next.publicJwk.kid);
    await sleep(20);
  }
  expect([...statuses]).toEqual([200]);
});
