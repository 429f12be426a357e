// Makes node_modules match package-lock.json. Plain JavaScript without packages, because it runs before
// any package is there, under the Node of the machine (20 or newer).
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const ROOT = process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const MODULES = join(ROOT, "node_modules");
/** npm's own record of what it installed. */
const INSTALLED = join(MODULES, ".package-lock.json");
const LOCK = join(ROOT, ".cache", "packages.lock");
const LOCK_BOUND_MS = 600_000;
const MAX_OUTPUT_CHARS = 1_000_000;

function readJson(path) {
  return JSON.parse(readFileSync(path, "utf8"));
}

/**
 * True when what npm wrote down at the end of its last install is what package-lock.json asks for, and all of it is still
 * there. Packages for other systems are in the lock file only.
 */
function isComplete() {
  if (!existsSync(INSTALLED)) return false;
  const { dependencies = {} } = readJson(join(ROOT, "package.json"));
  if ("node" in dependencies && !existsSync(join(MODULES, ".bin", "node"))) return false;
  const installed = readJson(INSTALLED).packages;
  return Object.entries(readJson(join(ROOT, "package-lock.json")).packages).every(([path, wanted]) => {
    if (path === "" || !path.includes("node_modules/")) return true;
    const found = installed[path];
    if (found === undefined) return wanted.optional === true;
    const isSame = found.version === wanted.version && found.integrity === wanted.integrity;
    return isSame && existsSync(join(ROOT, path, "package.json"));
  });
}

function isRunning(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

/** Two runs in one checkout would pull the folder away under each other. */
async function takeLock() {
  mkdirSync(dirname(LOCK), { recursive: true });
  const deadline = Date.now() + LOCK_BOUND_MS;
  for (;;) {
    try {
      writeFileSync(LOCK, String(process.pid), { flag: "wx" });
      return;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    const holder = Number(readFileSync(LOCK, { encoding: "utf8", flag: "a+" }));
    if (holder > 0 && !isRunning(holder)) rmSync(LOCK, { force: true });
    else if (Date.now() > deadline)
      throw new Error(`Process ${holder} has been installing packages for too long: end it and run again.`);
    else await sleep(250);
  }
}

/** Runs `npm ci` and resolves to undefined, or to why it failed. */
function install() {
  return new Promise((resolve) => {
    const args = ["ci", "--no-audit", "--no-fund", "--no-progress"];
    const child = spawn("npm", args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    const collect = (chunk) => {
      output = (output + chunk).slice(-MAX_OUTPUT_CHARS);
    };
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    child.on("error", (error) => {
      resolve(
        error.code === "ENOENT"
          ? "npm is not installed: install Node.js 20 or newer with npm"
          : error.message,
      );
    });
    child.on("close", (code) =>
      resolve(code === 0 ? undefined : (causeOf(output) ?? `npm ci ended with code ${code}`)),
    );
  });
}

/** The first line in which npm names a cause; its error code alone tells a reader nothing. */
function causeOf(output) {
  const said = output
    .split("\n")
    .map((line) => /^npm (?:error|ERR!) (.+)$/.exec(line)?.[1]?.trim())
    .filter(
      (line) =>
        line &&
        !/^(A complete log|code |errno |syscall |path |command |network This is a problem)/.test(line),
    );
  return said[0];
}

async function main() {
  if (isComplete()) return;
  await takeLock();
  try {
    // The run that held the lock may have done the work.
    if (isComplete()) return;
    const startedAt = Date.now();
    process.stderr.write("Install the npm packages of package-lock.json (about 30 s) ...");
    const cause = await install();
    if (cause !== undefined) {
      process.stderr.write("\n");
      throw new Error(
        `The npm packages could not be installed: ${cause.replace(/\.$/, "")}. Put that right and run again.`,
      );
    }
    process.stderr.write(` done in ${Math.round((Date.now() - startedAt) / 1000)} s\n`);
  } finally {
    rmSync(LOCK, { force: true });
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
