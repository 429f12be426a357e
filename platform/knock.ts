import { connect } from "node:net";

/** `denied` is a packet that nobody answered or that was said to be prohibited; the last two are the other end's own answers, or none of it. */
export type Knocked = "connected" | "denied" | "refused" | "unresolved";

/**
 * Opens a TCP connection and closes it again; nothing is sent. Never rejects. `timeoutMs` counts the search for the name as well, which
 * a socket's own timeout does not.
 */
export function knock(
  { host, port }: { readonly host: string; readonly port: number },
  timeoutMs: number,
): Promise<Knocked> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (outcome: Knocked): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(outcome);
    };
    const timer = setTimeout(() => end("denied"), timeoutMs);
    socket.on("connect", () => end("connected"));
    socket.on("error", ({ code, syscall }: NodeJS.ErrnoException) => {
      if (syscall !== "connect") end("unresolved");
      else end(code === "ECONNREFUSED" || code === "ECONNRESET" ? "refused" : "denied");
    });
  });
}
