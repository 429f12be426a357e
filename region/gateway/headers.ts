import type { IncomingHttpHeaders } from "node:http";

/** Headers that belong to one connection and are never passed on (RFC 9110 section 7.6.1). */
const HOP_BY_HOP = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** What this gateway says itself to a cell, whatever the client says. */
const OWN = new Set([
  "host",
  "authorization",
  "content-length",
  "expect",
  "traceparent",
  "tracestate",
  "x-deadline-ms",
]);

/** The client's headers as they go on to the cell: without hop-by-hop ones and without any `x-cells-*` that the client made up. */
export function passedOnHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  const passed: Record<string, string> = {};
  for (const [name, value] of endToEnd(headers))
    if (!OWN.has(name)) passed[name] = Array.isArray(value) ? value.join(", ") : value;
  return passed;
}

/** A cell's headers as the client gets them: without hop-by-hop ones and without what cells tell gateways alone. */
export function passedBackHeaders(headers: IncomingHttpHeaders): Record<string, string | string[]> {
  return Object.fromEntries(endToEnd(headers));
}

function endToEnd(headers: IncomingHttpHeaders): [name: string, value: string | string[]][] {
  const named = new Set((headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase()));
  return Object.entries(headers).filter(
    (entry): entry is [string, string | string[]] =>
      entry[1] !== undefined &&
      !HOP_BY_HOP.has(entry[0]) &&
      !named.has(entry[0]) &&
      !entry[0].startsWith("x-cells-"),
  );
}
