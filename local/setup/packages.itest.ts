import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";

const SCRIPT = join(import.meta.dirname, "packages.mjs");
let root: string;

/** A package whose only dependency is a folder beside it, so that npm needs no network. */
function files() {
  const top = { name: "top", version: "1.0.0", dependencies: { leaf: "file:leaf" } };
  const lock = {
    ...{ name: "top", version: "1.0.0", lockfileVersion: 3, requires: true },
    packages: { "": top, leaf: { version: "1.0.0" }, "node_modules/leaf": { resolved: "leaf", link: true } },
  };
  return { top, lock };
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "packages-test-"));
  const { top, lock } = files();
  mkdirSync(join(root, "leaf"));
  writeFileSync(join(root, "leaf/package.json"), JSON.stringify({ name: "leaf", version: "1.0.0" }));
  writeFileSync(join(root, "package.json"), JSON.stringify(top));
  writeFileSync(join(root, "package-lock.json"), JSON.stringify(lock));
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

function install(env: Record<string, string> = {}): Promise<{ code: number | null; text: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [SCRIPT, root], { env: { ...process.env, ...env } });
    let text = "";
    child.stderr.on("data", (chunk) => (text += chunk));
    child.stdout.on("data", (chunk) => (text += chunk));
    child.on("close", (code) => resolve({ code, text }));
  });
}

const leafFile = () => join(root, "node_modules/leaf/package.json");

/** An npm that says what it is told to and fails. */
function failingNpm(words: string): Record<string, string> {
  const bin = join(root, "bin");
  mkdirSync(bin);
  writeFileSync(join(bin, "npm"), `#!/bin/sh\nprintf '%s\\n' '${words}' >&2\nexit 1\n`);
  chmodSync(join(bin, "npm"), 0o755);
  return { PATH: `${bin}:${process.env.PATH}` };
}

it("installs with one line, and is silent when there is nothing to do", async () => {
  const first = await install();
  expect(first).toMatchObject({
    code: 0,
    text: expect.stringMatching(/^Install the npm packages .* done in \d+ s\n$/),
  });
  expect(existsSync(leafFile())).toBe(true);
  expect(await install()).toEqual({ code: 0, text: "" });
});

it("installs again when the lock file changed", async () => {
  await install();
  const { lock, top } = files();
  const next = { ...top, dependencies: { ...top.dependencies, twig: "file:twig" } };
  const twig = { twig: { version: "1.0.0" }, "node_modules/twig": { resolved: "twig", link: true } };
  const packages = { ...lock.packages, ...twig, "": next };
  mkdirSync(join(root, "twig"));
  writeFileSync(join(root, "twig/package.json"), JSON.stringify({ name: "twig", version: "1.0.0" }));
  writeFileSync(join(root, "package.json"), JSON.stringify(next));
  writeFileSync(join(root, "package-lock.json"), JSON.stringify({ ...lock, packages }));
  expect((await install()).text).toContain("Install");
  expect(existsSync(join(root, "node_modules/twig/package.json"))).toBe(true);
  expect(await install()).toEqual({ code: 0, text: "" });
});

it("heals a folder that was left half-built", async () => {
  await install();
  rmSync(join(root, "node_modules/leaf"));
  expect((await install()).code).toBe(0);
  expect(existsSync(leafFile())).toBe(true);
});

it("passes on why npm failed in one sentence, and tries again the next time", async () => {
  const words =
    "npm error code ENOTFOUND\nnpm error syscall getaddrinfo\nnpm error request to the registry failed";
  const failed = await install(failingNpm(words));
  expect(failed.code).toBe(1);
  expect(failed.text).toContain(
    "could not be installed: request to the registry failed. Put that right and run again.\n",
  );
  expect((await install()).code).toBe(0);
});

it("takes over the lock of a run that was killed", async () => {
  mkdirSync(join(root, ".cache"));
  // Larger than any pid that Linux gives out.
  writeFileSync(join(root, ".cache/packages.lock"), "99999999");
  expect((await install()).code).toBe(0);
  expect(existsSync(join(root, ".cache/packages.lock"))).toBe(false);
});

it("lets two runs at once work on one checkout", async () => {
  const runs = await Promise.all([install(), install()]);
  expect(runs.map(({ code }) => code)).toEqual([0, 0]);
  expect(runs.filter(({ text }) => text.includes("Install"))).toHaveLength(1);
  expect(existsSync(leafFile())).toBe(true);
});
