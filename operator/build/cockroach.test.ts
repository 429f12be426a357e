import { execFile } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { KubeObject } from "../../platform/kube/objects.ts";
import { center, SETTINGS } from "../testing/center.ts";
import { cellOf } from "./cell.ts";
import { buildCockroach } from "./cockroach.ts";

interface PodSpec {
  readonly containers: readonly { readonly command: string[]; readonly args: string[] }[];
}
const built = (replicas: number) =>
  buildCockroach(cellOf(center({ database: { engine: "CockroachDB" } }), SETTINGS, 7), replicas);
function podOf(objects: readonly KubeObject[], kind: string): PodSpec {
  const found = objects.find((object) => object.kind === kind);
  if (found === undefined) throw new Error(`no ${kind} is built`);
  return (found.spec as { template: { spec: PodSpec } }).template.spec;
}

describe("nodes", () => {
  it("join each other over TLS, and one alone needs no other", () => {
    const [three, one] = [3, 1].map((count) => podOf(built(count), "StatefulSet").containers[0]?.args ?? []);
    expect(three?.slice(0, 2)).toEqual([
      "start",
      "--join=database-0.database-peers:26257,database-1.database-peers:26257,database-2.database-peers:26257",
    ]);
    expect(one?.[0]).toBe("start-single-node");
    for (const args of [three, one]) {
      expect(args).toContain("--certs-dir=/certificates");
      expect(args).toContain("--advertise-host=$(HOST_NAME).database-peers");
      expect(args?.join(" ")).not.toContain("insecure");
    }
  });

  it("are not restarted when there are more of them", () => {
    expect(podOf(built(5), "StatefulSet")).toEqual(podOf(built(3), "StatefulSet"));
  });
});

/** The script of the Job as bash runs it, with a stand-in for the one binary that is not here. */
describe("the Job that initializes", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "init-"));
    for (const file of ["ca.crt", "client.root.crt", "client.root.key"]) writeFileSync(join(dir, file), "x");
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  async function run(replicas: number, cockroach: string) {
    const binary = join(dir, "cockroach");
    writeFileSync(binary, `#!/bin/bash\necho "$1" >> ${dir}/calls\n${cockroach}\n`);
    chmodSync(binary, 0o755);
    const { command, args } = podOf(built(replicas), "Job").containers[0] ?? { command: [], args: [] };
    const text = (args[0] ?? "")
      .replaceAll("/cockroach/cockroach", binary)
      .replaceAll("/certificates", dir)
      .replaceAll("/dev/termination-log", join(dir, "said"))
      .replaceAll("sleep 2", "sleep 0.01");
    const env = { PATH: process.env.PATH, PASSWORD: "secret0word", NAMESPACE: "cell-seoul-mapo" };
    const exit = await promisify(execFile)(command[0] ?? "", [...command.slice(1), text], { env }).then(
      () => 0,
      ({ code }: { code: number }) => code,
    );
    const read = (file: string) => {
      try {
        return readFileSync(join(dir, file), "utf8");
      } catch {
        return "";
      }
    };
    return { exit, calls: read("calls").trim().split("\n"), said: read("said"), sql: read("sql") };
  }
  const TAKES_SQL = `if [[ $1 == sql ]]; then cat > "$(dirname "$0")/sql"; fi`;

  it("joins the nodes and makes the role and the database", async () => {
    const { exit, calls, sql } = await run(3, TAKES_SQL);
    expect([exit, calls]).toEqual([0, ["init", "sql"]]);
    expect(sql).toContain("ALTER ROLE provisioner WITH LOGIN PASSWORD 'secret0word' CREATEDB CREATEROLE;");
    expect(sql).toContain("CREATE DATABASE IF NOT EXISTS cell;");
  });

  it("takes a cluster that is initialized for a good one", async () => {
    const initialized = `[[ $1 == init ]] && { echo "ERROR: cluster has already been initialized" >&2; exit 1; }`;
    const { exit, calls } = await run(3, `${initialized}\n${TAKES_SQL}`);
    expect([exit, calls]).toEqual([0, ["init", "sql"]]);
  });

  it("waits for a node that is not up yet", async () => {
    const late = `[[ $1 == init && $(wc -l < ${"$(dirname $0)"}/calls) -lt 3 ]] && { echo "connection refused"; exit 1; }`;
    const { exit, calls } = await run(3, `${late}\n${TAKES_SQL}`);
    expect([exit, calls]).toEqual([0, ["init", "init", "init", "sql"]]);
  });

  it("initializes nothing where one node runs alone", async () => {
    expect((await run(1, TAKES_SQL)).calls).toEqual(["sql"]);
  });

  it("names the certificates that are missing", async () => {
    rmSync(join(dir, "client.root.key"));
    const { exit, said } = await run(3, TAKES_SQL);
    expect([exit, JSON.parse(said)]).toEqual([
      1,
      {
        ok: false,
        reason: "CertificatesMissing",
        message: expect.stringContaining(
          "database-certificates in namespace cell-seoul-mapo has no client.root.key",
        ),
      },
    ]);
  });

  it("says what the database said when it gives up, in words that are JSON", async () => {
    const { exit, said } = await run(1, `cat > /dev/null; printf 'ERROR: "bad"\\n\\\\ thing' >&2; exit 1`);
    expect([exit, JSON.parse(said)]).toEqual([
      1,
      { ok: false, reason: "DatabaseUnreachable", message: "cockroach sql: ERROR:  bad    thing" },
    ]);
  });
});
