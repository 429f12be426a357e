import type { KubeClient } from "../../platform/kube/client.ts";
import { KINDS } from "../../platform/kube/kinds.ts";
import { auditEnd, isWrite, readAudit, type Span } from "./audit.ts";
import { must, until } from "./must.ts";
import { BENCH_AGENT } from "./stack.ts";

/** Time between two edits: each is answered before the next comes. */
const PAUSE_MS = 100;
const DEPLOYMENT = "cell";
const EDITED_SECONDS = 299;

/**
 * Edits the Deployment of each of these centers by hand, one after the other, in a field that rolls nothing out, and
 * waits until all are back. Returns for each edit the milliseconds from its answer to the arrival of the operator's correction, by the API server's own
 * clock.
 */
export async function measureEdits(options: {
  readonly client: KubeClient;
  readonly auditPath: string;
  readonly userAgent: string;
  readonly names: readonly string[];
  readonly signal: AbortSignal;
}): Promise<{ delaysMs: number[]; missed: number }> {
  const { client, auditPath, userAgent, names, signal } = options;
  const from = auditEnd(auditPath);
  for (const name of names) {
    if (signal.aborted) throw new Error("Stopped.");
    must(
      await client.patch(
        KINDS.deployment,
        { name: DEPLOYMENT, namespace: `cell-${name}` },
        { spec: { progressDeadlineSeconds: EDITED_SECONDS } },
      ),
    );
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  await until("The correction of every edit", () => allCorrected(client, names), {
    deadlineMs: 60_000,
    pollMs: 500,
    signal,
  });
  return delaysOf(auditPath, { from, to: auditEnd(auditPath) }, userAgent);
}

async function allCorrected(client: KubeClient, names: readonly string[]): Promise<boolean> {
  const { items } = must(await client.listAll(KINDS.deployment));
  const wanted = new Set(names.map((name) => `cell-${name}`));
  return items.every(
    ({ metadata, spec }) =>
      !wanted.has(metadata.namespace ?? "") ||
      (spec as { progressDeadlineSeconds: number }).progressDeadlineSeconds !== EDITED_SECONDS,
  );
}

async function delaysOf(auditPath: string, span: Span, userAgent: string) {
  const edited = new Map<string, number>();
  const delaysMs: number[] = [];
  await readAudit(auditPath, span, [BENCH_AGENT, userAgent], (entry) => {
    const { resource, subresource, namespace = "" } = entry.objectRef ?? {};
    if (resource !== "deployments" || subresource !== undefined || !isWrite(entry)) return;
    if (entry.userAgent === BENCH_AGENT) {
      edited.set(namespace, microseconds(entry.stageTimestamp));
      return;
    }
    const since = edited.get(namespace);
    if (since === undefined) return;
    edited.delete(namespace);
    delaysMs.push((microseconds(entry.requestReceivedTimestamp) - since) / 1000);
  });
  return { delaysMs, missed: edited.size };
}

/** Microseconds since 1970; Date knows milliseconds only. */
export function microseconds(time: string): number {
  const fraction = /\.(\d+)/.exec(time)?.[1] ?? "";
  const seconds = Date.parse(time.replace(/\.\d+/, "")) / 1000;
  return seconds * 1e6 + Number(fraction.padEnd(6, "0").slice(0, 6));
}
