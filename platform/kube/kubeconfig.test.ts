import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { parseYaml, toYaml } from "../yaml.ts";
import { loadClusterConfig } from "./config.ts";
import { plainConfig } from "./kubeconfig.ts";
import { createVirtualTime } from "./testing/virtualtime.ts";

const dir = mkdtempSync(join(tmpdir(), "kubeconfig-"));
afterAll(() => rmSync(dir, { recursive: true }));
let counter = 0;
const write = (text: string) => {
  const path = join(dir, `file-${++counter}`);
  writeFileSync(path, text);
  return path;
};
const base64 = (words: string) => Buffer.from(words).toString("base64");
const kubeconfig = (cluster: object, user: object, context: object = {}) =>
  write(
    toYaml({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "here",
      clusters: [{ name: "c", cluster: { server: "https://127.0.0.1:6443/", ...cluster } }],
      users: [{ name: "u", user }],
      contexts: [
        { name: "here", context: { cluster: "c", user: "u", ...context } },
        { name: "other", context: { cluster: "c", user: "u", namespace: "elsewhere" } },
        { name: "lost", context: { cluster: "nowhere", user: "u" } },
      ],
    }),
  );
writeFileSync(join(dir, "ca.crt"), "the CA");
writeFileSync(join(dir, "client.key"), "the key");

const PLAIN: readonly (readonly [string, object, object, object])[] = [
  ["certificates as text", { "certificate-authority-data": base64("CA") }, certificates(), {}],
  ["certificates in files beside it", { "certificate-authority": "ca.crt" }, files(), { namespace: "mine" }],
  ["a token", { "tls-server-name": "api.example" }, { token: "word" }, {}],
  ["no proof at all", { "insecure-skip-tls-verify": true }, {}, {}],
];
function certificates() {
  return { "client-certificate-data": base64("cert"), "client-key-data": base64("key") };
}
function files() {
  return { "client-certificate": join(dir, "ca.crt"), "client-key": "client.key" };
}

describe("a kubeconfig with", () => {
  it.each(PLAIN)("%s says the same here as to the library", async (_, cluster, user, context) => {
    const path = kubeconfig(cluster, user, context);
    const plain = await plainConfig(path, undefined);
    // With a second file it is the library that reads.
    const second = write(toYaml({ apiVersion: "v1", kind: "Config", clusters: [], users: [], contexts: [] }));
    const merged = await loadClusterConfig({ env: { KUBECONFIG: [path, second].join(delimiter) } });
    if (!merged.ok) throw new Error(merged.message);
    const { credentials: ours, ...said } = plain!;
    const { credentials: theirs, ...known } = merged.config;
    expect(said).toEqual(known);
    expect(await ours()).toEqual(await theirs());
  });

  it("another context that is asked for", async () => {
    const config = await plainConfig(kubeconfig({}, { token: "a" }), "other");
    expect(config?.namespace).toBe("elsewhere");
  });

  it("JSON in it says the same as with YAML", async () => {
    const yaml = kubeconfig({}, { token: "a" });
    const json = write(JSON.stringify(parseYaml(readFileSync(yaml, "utf8"))[0]));
    const { credentials: _first, ...ofYaml } = (await plainConfig(yaml, undefined))!;
    const { credentials, ...ofJson } = (await plainConfig(json, undefined))!;
    expect(ofJson).toEqual(ofYaml);
    expect((await credentials()).headers.authorization).toBe("Bearer a");
  });

  it("a token in a file follows that file, at once when it is refused", async () => {
    const time = createVirtualTime(0, 1);
    const tokenFile = write("first\n");
    const config = (await plainConfig(kubeconfig({}, { tokenFile }), undefined, time))!;
    const token = async (fresh = false) => (await config.credentials({ fresh })).headers.authorization;
    expect(await token()).toBe("Bearer first");
    writeFileSync(tokenFile, "second");
    expect([await token(), await token(true)]).toEqual(["Bearer first", "Bearer second"]);
  });

  it.each([
    ["a program that hands out credentials", {}, { exec: { command: "aws" } }],
    ["a person to stand in for", {}, { token: "a", as: "admin" }],
    ["a proxy", { "proxy-url": "http://127.0.0.1:3128" }, { token: "a" }],
    ["a password", {}, { username: "a", password: "b" }],
    ["an address that is none", { server: "127.0.0.1" }, { token: "a" }],
  ])("%s is left to the library", async (_, cluster, user) => {
    expect(await plainConfig(kubeconfig(cluster, user), undefined)).toBeUndefined();
  });

  it.each(["lost", "nobody"])(
    "no cluster for context %s is left to the library, which says so",
    async (context) => {
      expect(await plainConfig(kubeconfig({}, { token: "a" }), context)).toBeUndefined();
    },
  );

  it.each(["", "a: [", "a: 1\n---\nb: 2\n", "[]", "{"])(
    "no such text is left to it as well: %j",
    async (words) => {
      expect(await plainConfig(write(words), undefined)).toBeUndefined();
    },
  );
});
