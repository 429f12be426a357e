import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, it } from "vitest";

/** The house rules that a reviewer would otherwise have to remember; see ARCHITECTURE.md. */
const ROOT = import.meta.dirname;
const MAX_LINES = 400;
const TOP_FOLDERS = ["cli", "operator", "cell", "region", "platform", "local", "charts", "bench", "soak"];

/** Which file may import which package. A package that is not listed may be imported by nobody. */
const PACKAGE_OWNERS: Readonly<Record<string, RegExp>> = {
  "@kubernetes/client-node": /^platform\/kube\/config\.ts$/,
  "@opentelemetry/": /^platform\/tracing(-\w+)?\.ts$/,
  express: /^platform\/http(-\w+)?\.ts$/,
  ioredis: /^platform\/redis\.ts$/,
  jose: /^platform\/(trust|usertoken)\.ts$/,
  "libpg-query": /^platform\/testing\/dialect\/parse\.ts$/,
  kafkajs: /^platform\/kafka\.ts$/,
  opossum: /^platform\/breaker\.ts$/,
  pg: /^platform\/sql\.ts$/,
  pino: /^platform\/log\.ts$/,
  "prom-client": /^platform\/metrics\.ts$/,
  undici: /^platform\/(fetch|kube\/transport)\.ts$/,
  uuidv7: /^platform\/ids\.ts$/,
  yaml: /^platform\/yaml\.ts$/,
  zod: /^(platform|operator\/api|cell|region|local)\//,
  "zod-openapi": /^platform\/openapi\.ts$/,
  vitest: /\.(i|e)?test\.ts$|\/testing\/|^vitest\.config\.ts$/,
  "fast-check": /\.(i|e)?test\.ts$|\/testing\//,
};

interface Import {
  readonly file: string;
  /** A path from the root for our own files, else the package's name. */
  readonly target: string;
  readonly own: boolean;
  readonly typeOnly: boolean;
}

const tracked = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
  cwd: ROOT,
  encoding: "utf8",
});
const sources = tracked
  .split("\n")
  .filter((file) => /\.(ts|mjs|lua|go)$/.test(file) && existsSync(join(ROOT, file)))
  .sort();
const typescript = sources.filter((file) => file.endsWith(".ts"));
const text = new Map(sources.map((file) => [file, readFileSync(join(ROOT, file), "utf8")]));

function importsOf(file: string): Import[] {
  const found: Import[] = [];
  const pattern =
    /(?:^|\n)\s*(?:import|export)\s+(type\s+)?(?:[\w*{][^;"']*?\sfrom\s+)?["']([^"']+)["']|import\(["']([^"']+)["']\)/g;
  for (const match of (text.get(file) ?? "").matchAll(pattern)) {
    const target = match[2] ?? match[3] ?? "";
    if (target.startsWith("node:")) continue;
    const own = target.startsWith(".");
    found.push({
      file,
      own,
      typeOnly: match[1] !== undefined,
      target: own ? normalize(join(dirname(file), target)) : target,
    });
  }
  return found;
}

const imports = typescript.flatMap(importsOf);
const isTest = (file: string) => /\.(i|e)?test\.ts$|\/testing\/|^operator\/explore\//.test(file);
const production = imports.filter(({ file }) => !isTest(file));
const say = (found: readonly Import[]) => found.map(({ file, target }) => `${file} imports ${target}`);

/** `cell/orders/store.ts` -> `cell/orders`; undefined for a file that is in no slice. */
function sliceOf(file: string): string | undefined {
  return /^((?:cell|region)\/[\w-]+)\//.exec(file)?.[1];
}

describe("packages", () => {
  it("are imported by their owner file only", () => {
    const strays = imports.filter(({ file, own, target }) => {
      if (own) return false;
      const name = Object.keys(PACKAGE_OWNERS).find(
        (known) => target === known || target.startsWith(known.endsWith("/") ? known : `${known}/`),
      );
      return !name || !PACKAGE_OWNERS[name]?.test(file);
    });
    expect(say(strays)).toEqual([]);
  });
});

describe("layers", () => {
  it("platform imports nothing above it", () => {
    const up = production.filter(
      ({ file, own, target }) => own && file.startsWith("platform/") && !target.startsWith("platform/"),
    );
    expect(say(up)).toEqual([]);
  });

  it("a slice sees of another slice its contract only", () => {
    const peeks = production.filter(({ file, own, target }) => {
      const from = sliceOf(file);
      const to = sliceOf(target);
      return own && from && to && from !== to && !target.endsWith("/contract.ts");
    });
    expect(say(peeks)).toEqual([]);
  });

  it("the operator, the cells and the region meet in contracts only", () => {
    const folder = (path: string) => path.split("/")[0] ?? "";
    const apart = new Set(["operator", "cell", "region"]);
    const mixes = production.filter(
      ({ file, own, target }) =>
        own &&
        apart.has(folder(file)) &&
        apart.has(folder(target)) &&
        folder(file) !== folder(target) &&
        !/(^operator\/api\/|\/contract\.ts$)/.test(target),
    );
    expect(say(mixes)).toEqual([]);
  });

  it("nothing of the product imports local, bench, soak or a test helper", () => {
    const wrong = production.filter(
      ({ file, own, target }) =>
        own && !/^(local|bench|soak)\//.test(file) && /^(local|bench|soak)\/|\/testing\//.test(target),
    );
    expect(say(wrong)).toEqual([]);
  });

  it("inside a slice imports go one way", () => {
    const order = [
      "domain.ts",
      "contract.ts",
      "store.ts",
      "service.ts",
      "routes.ts",
      "events.ts",
      "slice.ts",
    ];
    const rank = (path: string) => {
      const name = path.split("/").at(-1) ?? "";
      if (name === "domain.ts" || name === "contract.ts") return 0;
      return name === "events.ts" ? order.indexOf("routes.ts") : order.indexOf(name);
    };
    const up = production.filter(({ file, own, target }) => {
      if (!own || !sliceOf(file) || sliceOf(file) !== sliceOf(target)) return false;
      return rank(file) >= 0 && rank(target) > rank(file);
    });
    expect(say(up)).toEqual([]);
  });

  it("a domain is pure: it imports only domains and pure platform files", () => {
    const pure = /^platform\/(money|ids|geo|slices|schemas|problem)\.ts$|\/domain\.ts$/;
    const wrong = production.filter(
      ({ file, own, target, typeOnly }) =>
        file.endsWith("/domain.ts") && !typeOnly && !(own ? pure.test(target) : target === "zod"),
    );
    expect(say(wrong)).toEqual([]);
  });

  it("no domain reads the clock or draws a random number", () => {
    const impure = typescript.filter(
      (file) =>
        file.endsWith("/domain.ts") &&
        /Date\.now|new Date\(\)|Math\.random|process\.|performance\.now/.test(text.get(file) ?? ""),
    );
    expect(impure).toEqual([]);
  });
});

describe("files", () => {
  it(`stay within ${MAX_LINES} lines`, () => {
    const long = sources.filter((file) => (text.get(file) ?? "").split("\n").length - 1 > MAX_LINES);
    expect(long).toEqual([]);
  });

  it("live in a known folder", () => {
    const strays = typescript.filter(
      (file) => file.includes("/") && !TOP_FOLDERS.includes(file.split("/")[0] ?? ""),
    );
    expect(strays).toEqual([]);
  });

  it("have no default export but where a tool asks for one", () => {
    const found = typescript.filter(
      (file) => file !== "vitest.config.ts" && /^export default/m.test(text.get(file) ?? ""),
    );
    expect(found).toEqual([]);
  });

  it("leave no check switched off and no note to finish later", () => {
    // Built from parts, so that this file does not find itself.
    const marks = new RegExp(
      ["TO" + "DO", "FIX" + "ME", "\\.only\\(", "\\.skip\\(", "@ts-" + "ignore"].join("|"),
    );
    const found = typescript.filter(
      (file) => file !== "architecture.test.ts" && marks.test(text.get(file) ?? ""),
    );
    expect(found).toEqual([]);
  });
});

describe("lock files", () => {
  interface Locked {
    readonly dependencies?: Readonly<Record<string, string>>;
    readonly optionalDependencies?: Readonly<Record<string, string>>;
    readonly resolved?: string;
  }
  const locks = tracked.split("\n").filter((file) => /(^|\/)package-lock\.json$/.test(file));

  /** As Node looks for a package: in the folder of the one that asks, then in each folder above it. */
  const found = (packages: Readonly<Record<string, Locked>>, from: string, name: string): boolean => {
    if (`${from === "" ? "" : `${from}/`}node_modules/${name}` in packages) return true;
    if (from === "") return false;
    return found(packages, from.slice(0, Math.max(0, from.lastIndexOf("node_modules/") - 1)), name);
  };

  it.each(locks)(
    "%s holds all that its packages ask for, on any platform, and no registry's host",
    (file) => {
      const packages: Readonly<Record<string, Locked>> = JSON.parse(
        readFileSync(join(ROOT, file), "utf8"),
      ).packages;
      const missing = Object.entries(packages).flatMap(([from, locked]) =>
        Object.keys({ ...locked.dependencies, ...locked.optionalDependencies })
          .filter((name) => !found(packages, from, name))
          .map((name) => `${from || file} asks for ${name}`),
      );
      expect(missing, "npm ci refuses such a lock file").toEqual([]);
      expect(Object.keys(packages).filter((key) => packages[key]?.resolved !== undefined)).toEqual([]);
    },
  );
});
