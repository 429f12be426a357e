import { createHmac } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePorts } from "../../local/ports.ts";
import { eventually } from "../../platform/testing/stores.ts";
import { generateKey, type KeyPair } from "../../platform/trust.ts";
import { createUserTokenIssuer, createUserVerifier, type User } from "../../platform/usertoken.ts";
import type { CellServer } from "./testing/cellserver.ts";
import { type Harness, startHarness } from "./testing/harness.ts";
import { type Child, endChild, startChild } from "./testing/process.ts";

/** The gateway believes the issuer's process; what that would never sign is made with its key, or with another. */
const NAMES = { issuer: "dev-issuer", audience: "fulfillment-cells" };
const SAM: User = { sub: "sam", roles: ["picker"], centers: ["seoul"] };
let dir: string;
let key: KeyPair;
let issuer: Child;
let gateway: Harness;
let cell: CellServer;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "issuer-"));
  key = await generateKey();
  const file = join(dir, "key.jwk");
  await writeFile(file, JSON.stringify(key.privateJwk), { mode: 0o600 });
  const [port = 0] = await freePorts(1);
  issuer = startChild("dev-issuer", port, { ISSUER_KEY_FILE: file });
  await eventually(() => fetch(`${issuer.url}/readyz`).then(({ ok }) => ok));
  const users = createUserVerifier({ jwksUrl: `${issuer.url}/jwks.json`, ...NAMES });
  gateway = await startHarness({ cells: ["seoul", "busan"], users });
  cell = gateway.cells[0] as CellServer;
});
afterAll(async () => {
  await gateway?.close();
  await endChild(issuer);
  await rm(dir, { recursive: true });
});

async function ask(authorization: string | undefined, center = "seoul") {
  const response = await fetch(`${gateway.url}/v1/centers/${center}/inventory/things`, {
    headers: authorization === undefined ? {} : { authorization },
  });
  return { status: response.status, body: (await response.json()) as { code?: string; detail?: string } };
}

async function issue(body: unknown): Promise<{ status: number; body: Record<string, unknown> }> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${issuer.url}/token`, {
    method: "POST",
    headers,
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const soon = () => Math.floor(Date.now() / 1000) + 300;
const claims = () => ({ ...SAM, iss: NAMES.issuer, aud: NAMES.audience, exp: soon() });

async function signed(
  names: Parameters<typeof createUserTokenIssuer>[1],
  ttlSeconds = 300,
  jwk = key.privateJwk,
) {
  return (await createUserTokenIssuer(jwk, names)).issue(SAM, ttlSeconds);
}

describe("a token of the issuer", () => {
  it("lets its user in; the cell sees a token of the gateway instead, and the user beside it", async () => {
    const { body } = await issue(SAM);
    let seen: NodeJS.Dict<string | string[]> = {};
    cell.answer = (request, response) => {
      seen = request.headers;
      response.end("{}");
    };
    expect((await ask(`Bearer ${body.access_token}`)).status).toBe(200);
    expect(seen).toMatchObject({ "x-cells-user": "sam", "x-cells-roles": "picker" });
    const token = `${seen.authorization}`.replace("Bearer ", "");
    expect(token).not.toBe(body.access_token);
    const payload = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as unknown;
    expect(payload).toMatchObject({ iss: "gateway", sub: "gateway", aud: "seoul" });
  });

  it("counts at its centers alone", async () => {
    const { body } = await issue(SAM);
    expect(await ask(`Bearer ${body.access_token}`, "busan")).toMatchObject({
      status: 403,
      body: { code: "forbidden", detail: "Your roles do not count at the center busan." },
    });
  });

  it("carries what was asked for, and the hour when nothing was", async () => {
    const { status, body } = await issue({ sub: "kim" });
    expect({ status, type: body.token_type, seconds: body.expires_in }).toEqual({
      status: 200,
      type: "Bearer",
      seconds: 3_600,
    });
    const payload = JSON.parse(
      Buffer.from(`${body.access_token}`.split(".")[1] ?? "", "base64url").toString(),
    );
    expect(payload).toMatchObject({
      sub: "kim",
      roles: ["customer"],
      centers: [],
      iss: "dev-issuer",
      aud: "fulfillment-cells",
    });
    expect(payload.exp - payload.iat).toBe(3_600);
  });
});

describe("no cell hears of", () => {
  it.each<[string, () => Promise<string | undefined>, string]>([
    ["no token", async () => undefined, "Send `Authorization: Bearer <token>`"],
    ["another scheme", async () => "Basic eDp5", "Send `Authorization: Bearer <token>`"],
    ["no JWT", async () => "Bearer abc", "Send `Authorization: Bearer <token>`"],
    ["an expired token", async () => `Bearer ${await signed(NAMES, -60)}`, "expired"],
    ["another audience", async () => `Bearer ${await signed({ ...NAMES, audience: "shop" })}`, "aud"],
    ["no audience", async () => `Bearer ${await signed({ issuer: NAMES.issuer })}`, "aud"],
    ["another issuer", async () => `Bearer ${await signed({ ...NAMES, issuer: "elsewhere" })}`, "iss"],
    ["no issuer", async () => `Bearer ${await signed({ audience: NAMES.audience })}`, "iss"],
    ["alg none", async () => `Bearer ${encode({ alg: "none" })}.${encode(claims())}.`, "Send `Authorization"],
    [
      "alg none with a signature",
      async () => `Bearer ${encode({ alg: "none" })}.${encode(claims())}.AA`,
      "not signed",
    ],
    [
      "an HMAC with the public key as its secret",
      async () => {
        const text = `${encode({ alg: "HS256", kid: key.publicJwk.kid })}.${encode(claims())}`;
        const mac = createHmac("sha256", JSON.stringify(key.publicJwk)).update(text).digest("base64url");
        return `Bearer ${text}.${mac}`;
      },
      "not signed",
    ],
    [
      "another key",
      async () => `Bearer ${await signed(NAMES, 300, (await generateKey()).privateJwk)}`,
      "not signed",
    ],
    [
      "another key under the right name",
      async () =>
        `Bearer ${await signed(NAMES, 300, { ...(await generateKey()).privateJwk, kid: `${key.publicJwk.kid}` })}`,
      "not signed",
    ],
    [
      "changed claims",
      async () => {
        const [head, , signature] = (await signed(NAMES)).split(".");
        return `Bearer ${head}.${encode({ ...claims(), roles: ["staff"] })}.${signature}`;
      },
      "not signed",
    ],
  ])("%s", async (_name, make, words) => {
    const taken = cell.taken.length;
    const answer = await ask(await make());
    expect(answer).toMatchObject({ status: 401, body: { code: "unauthenticated" } });
    expect(answer.body.detail).toContain(words);
    expect(cell.taken).toHaveLength(taken);
  });
});

describe("the issuer", () => {
  it("tells its public key and never the private half", async () => {
    const response = await fetch(`${issuer.url}/jwks.json`);
    expect(await response.json()).toEqual({ keys: [key.publicJwk] });
  });

  it.each<[string, unknown, string]>([
    ["no sub", {}, "sub"],
    ["an empty sub", { sub: "" }, "sub"],
    ["a role that there is not", { sub: "sam", roles: ["root"] }, "roles"],
    ["no role at all", { sub: "sam", roles: [] }, "roles"],
    ["a token for ever", { sub: "sam", ttlSeconds: 1e9 }, "ttlSeconds"],
    ["centers that are no list", { sub: "sam", centers: "seoul" }, "centers"],
  ])("refuses %s and names the field", async (_name, body, field) => {
    const answer = await issue(body);
    expect(answer).toMatchObject({ status: 400, body: { code: "invalid-request" } });
    expect(`${answer.body.detail}`).toContain(field);
  });

  it("refuses what is no JSON", async () => {
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${issuer.url}/token`, { method: "POST", headers, body: "{" });
    expect({ status: response.status, body: await response.json() }).toMatchObject({
      status: 400,
      body: { code: "invalid-request" },
    });
  });
});
