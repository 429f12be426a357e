import type { Server, ServerResponse } from "node:http";

const POLL_MS = 50;

/**
 * Watches a server's answers from now on. The result closes it: no new connections, what is under way ends, each answer tells its
 * client to send nothing more on the same connection, and after `graceMs` what is still open is cut.
 */
export function watchForClosing(server: Server): (graceMs: number) => Promise<void> {
  const open = new Set<ServerResponse>();
  let closing = false;
  server.prependListener("request", (_request, response: ServerResponse) => {
    if (closing) response.setHeader("connection", "close");
    open.add(response);
    response.on("close", () => open.delete(response));
  });
  return (graceMs) =>
    new Promise((resolve) => {
      closing = true;
      for (const response of open) if (!response.headersSent) response.setHeader("connection", "close");
      // A connection that becomes idle while the server closes would stay until its keep-alive is over.
      const idle = setInterval(() => server.closeIdleConnections(), POLL_MS);
      const timer = setTimeout(() => server.closeAllConnections(), graceMs);
      server.close(() => {
        clearInterval(idle);
        clearTimeout(timer);
        resolve();
      });
      server.closeIdleConnections();
    });
}
