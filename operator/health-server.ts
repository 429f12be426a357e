import process from "node:process";

// Imported, the module would be read name by name, and one of its names loads a second HTTP client: some 50 ms of each start.
const { createServer } = process.getBuiltinModule("node:http");

export interface HealthAnswers {
  /** A sentence when the process should be restarted. */
  live(): string | undefined;
  /** A sentence when it cannot work yet. */
  ready(): string | undefined;
  metrics(): Promise<string>;
  readonly metricsType: string;
}

/** Serves /livez, /readyz and /metrics; nothing else, and no body is read. */
export function startHealthServer(
  answers: HealthAnswers,
  address: { port: number; host: string },
): Promise<{ port: number; close(): Promise<void> }> {
  const server = createServer({ requestTimeout: 5_000, headersTimeout: 5_000 }, (request, response) => {
    const path = (request.url ?? "").split("?")[0];
    const say = (status: number, body: string, type = "text/plain; charset=utf-8") => {
      response.writeHead(status, { "content-type": type }).end(body);
    };
    const judge = (problem: string | undefined) =>
      say(problem === undefined ? 200 : 503, `${problem ?? "ok"}\n`);
    if (path === "/livez") return judge(answers.live());
    if (path === "/readyz") return judge(answers.ready());
    if (path !== "/metrics") return say(404, "Only /livez, /readyz and /metrics are here.\n");
    answers.metrics().then(
      (text) => say(200, text, answers.metricsType),
      () => say(500, "The metrics could not be rendered.\n"),
    );
  });
  server.maxConnections = 64;
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(address.port, address.host, () => {
      const bound = server.address();
      resolve({
        port: typeof bound === "object" && bound !== null ? bound.port : address.port,
        close: () =>
          new Promise((closed) => {
            server.close(() => closed());
            server.closeAllConnections();
          }),
      });
    });
  });
}
