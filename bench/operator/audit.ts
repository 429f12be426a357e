import { createReadStream, statSync } from "node:fs";
import { createInterface } from "node:readline";

/** One request as the API server wrote it down, when it had answered. */
export interface AuditEntry {
  readonly verb: string;
  readonly userAgent?: string;
  readonly objectRef?: {
    readonly resource?: string;
    readonly subresource?: string;
    readonly namespace?: string;
    readonly name?: string;
  };
  readonly responseStatus?: { readonly code?: number };
  /** RFC 3339 with microseconds. */
  readonly requestReceivedTimestamp: string;
  readonly stageTimestamp: string;
}

/** A part of an audit log, in bytes. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

const WRITES = new Set(["create", "update", "patch", "delete", "deletecollection"]);

export const isWrite = (entry: AuditEntry) => WRITES.has(entry.verb);
/** Renewals of the leader's Lease go on for as long as an operator lives, in every operator. */
export const isLease = (entry: AuditEntry) => entry.objectRef?.resource === "leases";

/** Present end of the log: the server writes an entry before it sends the answer's last byte. */
export function auditEnd(path: string): number {
  return statSync(path).size;
}

/** Calls `take` with each entry of a part of the log whose user agent is one of `userAgents`. */
export async function readAudit(
  path: string,
  span: Span,
  userAgents: readonly string[],
  take: (entry: AuditEntry) => void,
): Promise<void> {
  if (span.to <= span.from) return;
  // client-go adds what a client is for, "/leader-election".
  const marks = userAgents.flatMap((agent) => [`"userAgent":"${agent}"`, `"userAgent":"${agent}/`]);
  const input = createReadStream(path, { start: span.from, end: span.to - 1, encoding: "utf8" });
  for await (const line of createInterface({ input })) {
    if (!marks.some((mark) => line.includes(mark))) continue;
    take(JSON.parse(line) as AuditEntry);
  }
}

/** Requests of one program in a part of the log, by "verb resource", most frequent first; without its Lease. */
export async function countCalls(
  path: string,
  span: Span,
  userAgent: string,
): Promise<{ calls: Record<string, number>; writes: number; lists: number; lease: number; refused: number }> {
  const calls = new Map<string, number>();
  let writes = 0;
  let lists = 0;
  let lease = 0;
  let refused = 0;
  await readAudit(path, span, [userAgent], (entry) => {
    if (isLease(entry)) {
      lease++;
      return;
    }
    const { resource = "-", subresource } = entry.objectRef ?? {};
    const key = `${entry.verb} ${resource}${subresource === undefined ? "" : `/${subresource}`}`;
    calls.set(key, (calls.get(key) ?? 0) + 1);
    if (isWrite(entry)) writes++;
    if (entry.verb === "list") lists++;
    if ((entry.responseStatus?.code ?? 0) >= 400) refused++;
  });
  const sorted = [...calls].sort(([, a], [, b]) => b - a);
  return { calls: Object.fromEntries(sorted), writes, lists, lease, refused };
}
