import { createServer, type IncomingMessage } from "node:http";
import type { AuthorizationBody, Entry } from "../../region/psp-sandbox/contract.ts";
import { serveParent } from "../load/child.ts";

/**
 * A payment processor that approves at once and keeps its books in memory: the real one is another company's machine, and what it
 * costs must not be counted as ours. One key is one authorization.
 */
async function main(): Promise<void> {
  const entries = new Map<string, Entry>();
  const server = createServer(async (request, response) => {
    if (request.method !== "POST" || request.url !== "/v1/authorizations") {
      response.writeHead(404, { "content-type": "application/problem+json" });
      response.end(
        JSON.stringify({ type: "not-found", code: "not-found", status: 404, title: "no such path" }),
      );
      return;
    }
    const { key, amount, merchant, reference } = JSON.parse(await textOf(request)) as AuthorizationBody;
    const known = entries.get(key);
    const entry: Entry = known ?? {
      ...{ key, kind: "authorization", status: "approved", authorizationKey: key, merchant, amount },
      ...(reference === undefined ? {} : { reference }),
      at: new Date().toISOString(),
    };
    entries.set(key, entry);
    response.writeHead(known ? 200 : 201, { "content-type": "application/json" });
    response.end(JSON.stringify(entry));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the processor has no port");
  serveParent(
    {
      url: () => Promise.resolve(`http://127.0.0.1:${address.port}`),
      approved: () => Promise.resolve(entries.size),
    },
    () => Promise.resolve(),
  );
}

async function textOf(request: IncomingMessage): Promise<string> {
  request.setEncoding("utf8");
  let text = "";
  for await (const chunk of request) text += chunk;
  return text;
}

await main();
