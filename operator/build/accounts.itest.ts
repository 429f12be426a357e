import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { center, SETTINGS } from "../testing/center.ts";
import { buildServiceAccounts } from "./accounts.ts";
import { cellOf } from "./cell.ts";

const run = promisify(execFile);

/** What every authenticated caller may do: ask about itself. */
const ABOUT_ITSELF = /^(selfsubject(access|rules)?reviews\.\S+)\s+\[\]\s+\[\]\s+\[create\]$/;
/** Versions, health and the list of APIs. */
const DISCOVERY = /^\[(\/[^\]]*)\]\s+\[\]\s+\[get\]$/;

/** All that an account may do in a namespace, a line for each right, as a real API server answers. */
async function rightsOf(namespace: string, account: string): Promise<string[]> {
  const { TEST_KUBECTL: kubectl = "", TEST_KUBECONFIG: kubeconfig = "" } = process.env;
  if (kubectl === "") throw new Error("set TEST_KUBECTL and TEST_KUBECONFIG to a Kubernetes for tests");
  const groups = ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, "system:authenticated"];
  const { stdout } = await run(kubectl, [
    ...["--kubeconfig", kubeconfig, "auth", "can-i", "--list", "--no-headers", "-n", namespace],
    ...["--as", `system:serviceaccount:${namespace}:${account}`],
    ...groups.flatMap((group) => ["--as-group", group]),
  ]);
  return stdout
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

it.each(["Separate", "Compact"] as const)(
  "accounts of a %s cell may do nothing but discovery",
  async (topology) => {
    const cell = cellOf(center({ topology }), SETTINGS, 7);
    const accounts = buildServiceAccounts(cell);
    expect(accounts.length).toBeGreaterThan(3);
    for (const { metadata, automountServiceAccountToken } of accounts) {
      expect(automountServiceAccountToken, metadata.name).toBe(false);
      const rights = await rightsOf(cell.namespace, metadata.name);
      expect(rights.length).toBeGreaterThan(3);
      expect(rights.filter((line) => !ABOUT_ITSELF.test(line) && !DISCOVERY.test(line))).toEqual([]);
    }
  },
);
