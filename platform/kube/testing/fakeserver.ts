import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { ClusterConfig } from "../config.ts";
import type { KubeObject } from "../objects.ts";
import {
  createFakeStorage,
  type FakeAnswer,
  type FakeChange,
  type FakeStorage,
  refuse,
} from "./fakestorage.ts";

/** A request as the fake server read it. */
export interface FakeRequest {
  readonly verb: "get" | "list" | "watch" | "create" | "update" | "patch" | "delete";
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** `deployments.apps`, or `pods`. */
  readonly resource: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
  readonly headers: IncomingMessage["headers"];
}

/** What happens to one request instead of, or before, the normal answer. Call `proceed` for the normal answer. */
export type FakeFault = (
  request: FakeRequest,
  response: ServerResponse,
  proceed: () => Promise<void>,
) => Promise<void> | void;

/** An API server in this process, over real HTTP, whose every answer can be scripted. */
export interface FakeApiServer {
  readonly config: ClusterConfig;
  readonly storage: FakeStorage;
  /** Every request in order, at most the last 10,000. */
  readonly requests: FakeRequest[];
  /** The next request that matches meets this fault; faults are used up in order. */
  fail(matches: (request: FakeRequest) => boolean, fault: FakeFault, times?: number): void;
  /** Ends every open watch: `eof` is the clean end, `cut` breaks the connection. */
  endWatches(how: "eof" | "cut"): void;
  /** Writes raw bytes into every open watch. */
  writeToWatches(bytes: string | Uint8Array): void;
  readonly openWatches: number;
  /** Whether a watch may begin with the list; an older API server refuses that. Default true. */
  streamsLists: boolean;
  close(): Promise<void>;
}

const MAX_REQUESTS = 10_000;

/** Starts a server on a free port of loopback. */
export async function startFakeApiServer(): Promise<FakeApiServer> {
  const storage = createFakeStorage();
  const requests: FakeRequest[] = [];
  const watches = new Set<ServerResponse>();
  const faults: { matches: (request: FakeRequest) => boolean; fault: FakeFault; left: number }[] = [];

  async function handle(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const request = parseRequest(message);
    requests.push(request);
    if (requests.length > MAX_REQUESTS) requests.shift();
    const body = await text(message);
    const refused = request.query.has("sendInitialEvents") && !self.streamsLists;
    const proceed = async () =>
      refused
        ? sendStatus(response, 422, {
            reason: "Invalid",
            message: "sendInitialEvents is forbidden for watch",
          })
        : answer(storage, watches, request, body, response);
    const scripted = faults.find(({ left, matches }) => left > 0 && matches(request));
    if (scripted === undefined) return proceed();
    scripted.left--;
    await scripted.fault(request, response, proceed);
  }

  const server = createServer((message, response) => {
    handle(message, response).catch((error: unknown) => {
      if (!response.headersSent) sendJson(response, 500, { kind: "Status", message: String(error) });
      else response.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const self: FakeApiServer = {
    streamsLists: true,
    config: {
      server: `http://127.0.0.1:${port}`,
      namespace: "default",
      credentials: () => Promise.resolve({ headers: {} }),
    },
    storage,
    requests,
    fail(matches, fault, times = 1) {
      faults.push({ matches, fault, left: times });
    },
    endWatches(how) {
      for (const watch of watches) {
        if (how === "eof") watch.end();
        else watch.destroy();
      }
      watches.clear();
    },
    writeToWatches(bytes) {
      for (const watch of watches) watch.write(bytes);
    },
    get openWatches() {
      return watches.size;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return self;
}

/** Answers with a Status, as the API server does for a failure. */
export function sendStatus(
  response: ServerResponse,
  code: number,
  options: { reason?: string; retryAfterSeconds?: number; message?: string } = {},
): void {
  const { reason, retryAfterSeconds, message = `scripted ${code}` } = options;
  if (retryAfterSeconds !== undefined) response.setHeader("retry-after", String(retryAfterSeconds));
  sendJson(response, code, { kind: "Status", apiVersion: "v1", code, reason, message });
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

function parseRequest(message: IncomingMessage): FakeRequest {
  const url = new URL(message.url ?? "/", "http://server");
  const parts = url.pathname.split("/").filter((part) => part !== "");
  const group = parts[0] === "apis" ? (parts[1] ?? "") : "";
  const rest = parts.slice(parts[0] === "apis" ? 3 : 2);
  const inNamespace = rest[0] === "namespaces" && rest.length > 2;
  const [plural = "", name, subresource] = inNamespace ? rest.slice(2) : rest;
  const method = message.method ?? "GET";
  const watching = url.searchParams.get("watch") === "true";
  const reading = watching ? "watch" : name === undefined ? "list" : "get";
  const verbs = { POST: "create", PUT: "update", PATCH: "patch", DELETE: "delete" } as const;
  return {
    verb: method in verbs ? verbs[method as keyof typeof verbs] : reading,
    method,
    path: url.pathname,
    query: url.searchParams,
    resource: group === "" ? plural : `${plural}.${group}`,
    namespace: inNamespace ? rest[1] : undefined,
    name,
    subresource,
    headers: message.headers,
  };
}

async function answer(
  storage: FakeStorage,
  watches: Set<ServerResponse>,
  request: FakeRequest,
  body: string,
  response: ServerResponse,
): Promise<void> {
  if (request.verb === "watch") return openWatch(storage, watches, request, response);
  if (request.verb === "list") return sendPage(storage, request, response);
  const outcome = perform(storage, request, body);
  sendJson(response, outcome.status, outcome.ok ? outcome.object : outcome.body);
}

function perform(storage: FakeStorage, request: FakeRequest, body: string): FakeAnswer {
  const { resource, name = "", namespace = "" } = request;
  const key = `${namespace}/${name}`;
  const part = request.subresource === "status" ? "status" : "main";
  const found = storage.get(resource, key);
  const missing = {
    ok: false,
    status: 404,
    body: { kind: "Status", code: 404, reason: "NotFound" },
  } as const;
  if (request.verb === "get") return found ? { ok: true, status: 200, object: found } : missing;
  const sent = body === "" ? {} : (JSON.parse(body) as KubeObject & { preconditions?: { uid?: string } });
  if (request.verb === "delete")
    return storage.remove(resource, key, (sent as { preconditions?: { uid?: string } }).preconditions?.uid);
  const object = sent as KubeObject;
  if (request.verb === "create") return storage.create(resource, object);
  if (request.verb === "update") return storage.update(resource, object, part);
  if (request.headers["content-type"] === "application/apply-patch+yaml")
    return part === "main"
      ? storage.apply(resource, object, request.query.get("fieldManager") ?? "unknown")
      : refuse(415, "UnsupportedMediaType", "nobody here applies a status: it is put or patched");
  return storage.merge(resource, key, sent as Record<string, unknown>, part);
}

/** Equality selectors only: `a=b,c=d`, and a bare name for "is there". */
function selects(request: FakeRequest, object: KubeObject): boolean {
  if (request.namespace !== undefined && object.metadata.namespace !== request.namespace) return false;
  const terms = (request.query.get("labelSelector") ?? "").split(",").filter((term) => term !== "");
  return terms.every((term) => {
    const [label = "", value] = term.split("=");
    const found = object.metadata.labels?.[label];
    return value === undefined ? found !== undefined : found === value;
  });
}

function sendPage(storage: FakeStorage, request: FakeRequest, response: ServerResponse): void {
  const limit = Number(request.query.get("limit") ?? 0) || Number.POSITIVE_INFINITY;
  const [at = 0, version = storage.version] = (request.query.get("continue") ?? "")
    .split(":")
    .filter((part) => part !== "")
    .map(Number);
  if (version < storage.oldest) {
    sendStatus(response, 410, { reason: "Expired" });
    return;
  }
  const all = storage.list(request.resource).filter((object) => selects(request, object));
  const more = at + limit < all.length;
  sendJson(response, 200, {
    kind: "List",
    metadata: {
      resourceVersion: String(version),
      ...(more ? { continue: `${at + limit}:${version}` } : {}),
    },
    // Items of a typed list carry neither.
    items: all.slice(at, at + limit).map(({ apiVersion: _version, kind: _kind, ...item }) => item),
  });
}

function openWatch(
  storage: FakeStorage,
  watches: Set<ServerResponse>,
  request: FakeRequest,
  response: ServerResponse,
): void {
  const listing = request.query.get("sendInitialEvents") === "true";
  const from = listing ? storage.version : Number(request.query.get("resourceVersion") ?? 0);
  if (from < storage.oldest) {
    sendStatus(response, 410, { reason: "Expired" });
    return;
  }
  response.writeHead(200, { "content-type": "application/json" });
  response.flushHeaders();
  const tell = (change: FakeChange) => {
    if (response.writableEnded || response.destroyed) return;
    if (change.collection !== request.resource || !selects(request, change.object)) return;
    response.write(`${JSON.stringify({ type: change.type, object: change.object })}\n`);
  };
  if (listing) sendInitialEvents(storage, request, response);
  for (const change of storage.since(from)) tell(change);
  const stop = storage.onChange(tell);
  watches.add(response);
  response.on("close", () => {
    stop();
    watches.delete(response);
  });
}

function sendInitialEvents(storage: FakeStorage, request: FakeRequest, response: ServerResponse): void {
  for (const object of storage.list(request.resource))
    if (selects(request, object)) response.write(`${JSON.stringify({ type: "ADDED", object })}\n`);
  const metadata = {
    resourceVersion: String(storage.version),
    annotations: { "k8s.io/initial-events-end": "true" },
  };
  response.write(`${JSON.stringify({ type: "BOOKMARK", object: { metadata } })}\n`);
}
