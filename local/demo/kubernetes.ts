import { type CenterObject, isReady, isRunning, type Workload } from "./centers.ts";
import type { Killer } from "./drill.ts";
import type { LedgerEntry, World } from "./facts.ts";
import { getObject, kubectl, NAMESPACE, type Target } from "./install.ts";

const HELD_UNTIL = "cells.fulfillment.io/held-until";
const NOT_JOBS = "app.kubernetes.io/component!=provision";
const MAX_PAGES = 100;

/** Reads the truth where it is kept: in each cell's database, in the processor, in every gateway. */
export function kubernetesWorld(target: Target): World {
  const raw = (path: string) => kubectl(target, ["get", "--raw", path]);
  return {
    async query<R>(center: string, sql: string) {
      const wrapped = `SELECT COALESCE(json_agg(r), '[]'::json) FROM (${sql}) AS r`;
      const text = await kubectl(target, [
        "exec",
        "-n",
        `cell-${center}`,
        "database-0",
        "--",
        "sh",
        "-c",
        `exec /usr/lib/postgresql/*/bin/psql "$0" -XAtc "$1"`,
        await adminUrl(target, center),
        wrapped,
      ]);
      return JSON.parse(text) as R[];
    },
    async ledger(center) {
      const entries: LedgerEntry[] = [];
      let cursor: string | undefined;
      for (let page = 0; page < MAX_PAGES; page++) {
        const query = `merchant=${center}${cursor === undefined ? "" : `&cursor=${encodeURIComponent(cursor)}`}`;
        const path = `/api/v1/namespaces/${NAMESPACE}/services/psp-sandbox:8090/proxy/v1/ledger?${query}`;
        const answer = JSON.parse(await raw(path)) as { entries: LedgerEntry[]; nextCursor?: string };
        entries.push(...answer.entries);
        cursor = answer.nextCursor;
        if (cursor === undefined) break;
      }
      return entries;
    },
    metrics: () => raw(`/api/v1/namespaces/${NAMESPACE}/services/gateway:8080/proxy/metrics`),
  };
}

async function adminUrl(target: Target, center: string): Promise<string> {
  const secret = await getObject<{ data: Record<string, string> }>(target, [
    "secret",
    "database",
    "-n",
    `cell-${center}`,
  ]);
  const url = new URL(Buffer.from(secret.data["admin-url"] ?? "", "base64").toString("utf8"));
  url.hostname = "127.0.0.1";
  return url.href;
}

/** Scales every workload of a cell to zero under the mark that the operator respects. */
export function kubernetesKiller(target: Target): Killer {
  const heldUntilMs = new Map<string, number>();
  return {
    async kill(center, holdSeconds) {
      const untilMs = Date.now() + holdSeconds * 1000;
      heldUntilMs.set(center, untilMs);
      const scope = ["-n", `cell-${center}`, "deployments,statefulsets", "--all"];
      const mark = `${HELD_UNTIL}=${new Date(untilMs).toISOString()}`;
      await kubectl(target, ["annotate", ...scope.slice(0, 3), mark, "--all", "--overwrite"]);
      await kubectl(target, ["scale", ...scope.slice(0, 3), "--all", "--replicas=0"]);
      // No time to say goodbye: a cell that burns does not finish its requests.
      const pods = ["-n", `cell-${center}`, "pods", "-l", NOT_JOBS];
      await kubectl(target, ["delete", ...pods, "--grace-period=0", "--force", "--wait=false"]);
    },
    async isReady(center) {
      if (Date.now() < (heldUntilMs.get(center) ?? 0)) return false;
      const object = await getObject<CenterObject>(target, ["fc", center]);
      const scope = ["deployments,statefulsets", "-n", `cell-${center}`];
      const workloads = await getObject<{ items: Workload[] }>(target, scope);
      return isReady(object) && workloads.items.every(isRunning);
    },
  };
}
