import { existsSync, globSync, readFileSync } from "node:fs";
import { join, matchesGlob } from "node:path";
import { describe, expect, it } from "vitest";
import { cellOf } from "../operator/build/cell.ts";
import { buildFenceJob, buildProvisionJob, buildRemoveJob } from "../operator/build/jobs.ts";
import { buildSliceDeployments } from "../operator/build/slices.ts";
import { center, SETTINGS } from "../operator/testing/center.ts";
import type { KubeObject } from "../platform/kube/objects.ts";
import { parseYaml } from "../platform/yaml.ts";

/** Skaffold and Docker are not run here: what can be held against the tree is. */
const ROOT = join(import.meta.dirname, "..");
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");
const yaml = (path: string) => parseYaml(read(path))[0] as Json;
type Json = Record<string, unknown>;

const values = yaml("charts/fulfillment-cells/values.yaml");
const cellImage = String((values.image as Json).cell);

/** What stands at a path such as "kafka.bootstrapServers"; undefined when nothing does. */
function at(object: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((found, key) => (found as Json | undefined)?.[key], object);
}

describe("skaffold.yaml", () => {
  const config = yaml("skaffold.yaml");
  const [release] = at(config, ["deploy", "helm", "releases"]) as Json[];
  const [artifact] = at(config, ["build", "artifacts"]) as Json[];

  /** Fields that the published schema of skaffold/v4beta13 has at each place, as far as we use them; it allows no others. */
  it.each<[string, unknown, readonly string[]]>([
    ["the file", config, ["apiVersion", "kind", "metadata", "build", "deploy", "profiles"]],
    ["build", config.build, ["artifacts", "local", "tagPolicy", "platforms"]],
    ["an artifact", artifact, ["image", "context", "docker", "sync", "hooks"]],
    ["docker", artifact?.docker, ["dockerfile", "target", "buildArgs", "noCache"]],
    ["deploy", config.deploy, ["helm", "kubeContext", "statusCheck", "statusCheckDeadlineSeconds"]],
    ["helm", at(config, ["deploy", "helm"]), ["releases", "flags"]],
    [
      "a release",
      release,
      [
        "name",
        "chartPath",
        "namespace",
        "createNamespace",
        "setValues",
        "setValueTemplates",
        "valuesFiles",
        "wait",
      ],
    ],
    ["a profile", (config.profiles as Json[])[0], ["name", "activation", "patches", "build", "deploy"]],
  ])("has in %s only fields of its schema", (_place, object, known) => {
    expect(Object.keys(object as Json).filter((field) => !known.includes(field))).toEqual([]);
  });

  it("builds from a Dockerfile and installs a chart that are there", () => {
    expect(config.apiVersion).toBe("skaffold/v4beta13");
    expect(existsSync(join(ROOT, String(at(artifact, ["docker", "dockerfile"]))))).toBe(true);
    expect(existsSync(join(ROOT, String(release?.chartPath), "Chart.yaml"))).toBe(true);
  });

  it("puts the image that it built where the chart names one", () => {
    expect(artifact?.image).toBe(cellImage.slice(0, cellImage.lastIndexOf(":")));
    // Skaffold names the variable after the image, with what Go templates refuse replaced.
    const variable = `IMAGE_FULLY_QUALIFIED_${String(artifact?.image).replaceAll(/[/-]/g, "_")}`;
    expect(release?.setValueTemplates).toEqual({ "image.cell": `{{.${variable}}}` });
  });

  it("sets values that the chart has, in its profiles too", () => {
    const patches = (config.profiles as Json[]).flatMap((profile) => profile.patches as Json[]);
    for (const { op, path } of patches) {
      expect(op).toBe("replace");
      expect(at(config, String(path).slice(1).split("/"))).toBeDefined();
    }
    const sets = [release?.setValues, release?.setValueTemplates, ...patches.map(({ value }) => value)];
    const names = sets.flatMap((set) => Object.keys(set as Json));
    expect(names.length).toBeGreaterThan(4);
    expect(names.filter((name) => at(values, name.split(".")) === undefined)).toEqual([]);
  });
});

describe("the Dockerfile", () => {
  const lines = read("Dockerfile").split("\n");
  const last = lines.slice(lines.findLastIndex((line) => line.startsWith("FROM ")));
  const ignored = read(".dockerignore")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));

  /** Whether a file is sent to the builder: the last pattern that matches decides, as Docker documents it. */
  const isSent = (path: string) =>
    ignored.reduce((sent, line) => {
      const pattern = line.replace(/^!/, "");
      // A single star takes names that begin with a dot as well, other than here.
      return pattern === "*" || matchesGlob(path, pattern) || matchesGlob(path, `${pattern}/**`)
        ? line.startsWith("!")
        : sent;
    }, true);

  it("copies files that are there and are sent", () => {
    const sources = lines
      .filter((line) => line.startsWith("COPY ") && !line.includes("--from="))
      .flatMap((line) => line.split(" ").slice(1, -1))
      .filter((source) => source !== ".");
    expect(sources).toEqual(["package.json", "package-lock.json", ".npmrc"]);
    expect(sources.filter((source) => !existsSync(join(ROOT, source)) || !isSent(source))).toEqual([]);
    const stages = lines.flatMap((line) => /^FROM \S+ AS (\S+)/.exec(line)?.[1] ?? []);
    const from = lines.flatMap((line) => /--from=(\S+)/.exec(line)?.[1] ?? []);
    expect(from.filter((stage) => !stages.includes(stage))).toEqual([]);
  });

  it("ends as the user that every pod asks for, which is not root", () => {
    const user = last.findLast((line) => line.startsWith("USER "))?.slice("USER ".length);
    expect(user).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    const [uid, gid] = (user ?? "").split(":");
    const chart = read("charts/fulfillment-cells/templates/_helpers.tpl");
    expect(chart).toContain(`runAsUser: ${uid}\nrunAsGroup: ${gid}\n`);
    const [deployment] = buildSliceDeployments(cellOf(center(), SETTINGS, 7), "");
    const security = at(deployment, ["spec", "template", "spec", "securityContext"]);
    expect(security).toMatchObject({ runAsUser: Number(uid), runAsGroup: Number(gid) });
  });

  it("has the programs that the pods of the chart and of the operator start", () => {
    const templates = globSync("charts/fulfillment-cells/templates/*.yaml", { cwd: ROOT })
      .map(read)
      .join("\n");
    const inChart = [
      ...templates.matchAll(/args: \[(?:"--\S+", )*(\S+\.ts)\]/g),
      ...templates.matchAll(/args: \[(region\/.*\.ts)\]/g),
    ].flatMap(([, program = ""]) =>
      program.includes("$name")
        ? ["psp-sandbox", "dev-issuer"].map((name) => program.replace(/\{\{ \$name \}\}/, name))
        : [program],
    );
    const cell = cellOf(center({ topology: "Separate" }), SETTINGS, 7);
    const workloads = [
      ...buildSliceDeployments(cell, ""),
      ...[buildProvisionJob(cell), buildFenceJob(cell, 8), buildRemoveJob(cell)],
    ];
    const inCells = workloads.map((workload: KubeObject) =>
      String(at(workload, ["spec", "template", "spec", "containers", "0", "args", "0"])),
    );
    const programs = [...new Set([...inChart, ...inCells])].sort();
    expect(programs).toEqual([
      "cell/main.ts",
      "operator/main.ts",
      "region/dev-issuer/main.ts",
      "region/gateway/main.ts",
      "region/psp-sandbox/main.ts",
    ]);
    expect(programs.filter((program) => !existsSync(join(ROOT, program)) || !isSent(program))).toEqual([]);
    expect(last.find((line) => line.startsWith("ENTRYPOINT "))).toBe('ENTRYPOINT ["/usr/local/bin/node"]');
  });

  it("is sent everything that the product reads when it runs, and no test", () => {
    const product = ["operator", "cell", "region", "platform"].flatMap((folder) =>
      globSync(`${folder}/**/*.{ts,sql,lua,json}`, { cwd: ROOT }),
    );
    const isTest = (path: string) =>
      /\.(i|e)?test\.ts$|\/testing\/|^operator\/explore\/|__snapshots__/.test(path);
    expect(product.filter((path) => !isTest(path) && !isSent(path))).toEqual([]);
    expect(product.filter((path) => isTest(path) && isSent(path))).toEqual([]);
    expect(
      ["node_modules/pg/package.json", ".git/config", "local/main.ts", "docs/adr"].filter(isSent),
    ).toEqual([]);
  });
});
