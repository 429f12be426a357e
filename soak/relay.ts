import { connect, createServer, type Server, type Socket } from "node:net";

/** One address in front of the replicas of a slice, as a Service of the cluster is. */
export interface Relay {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Listens on a free port of the loopback and joins each connection to one of `targets` in turn; where nobody listens, to the next. A
 * connection whose other side is gone is cut.
 */
export async function startRelay(targets: readonly number[]): Promise<Relay> {
  const sockets = new Set<Socket>();
  let turn = 0;
  const server: Server = createServer((near) => {
    sockets.add(near);
    near.on("error", () => near.destroy());
    near.once("close", () => sockets.delete(near));
    join(near, turn++, targets.length);
  });

  function join(near: Socket, index: number, left: number): void {
    const port = targets[index % targets.length];
    if (port === undefined || left === 0 || near.destroyed) {
      near.destroy();
      return;
    }
    const far = connect(port, "127.0.0.1");
    far.setNoDelay(true);
    near.setNoDelay(true);
    far.once("connect", () => {
      near.pipe(far);
      far.pipe(near);
      near.once("close", () => far.destroy());
      far.once("close", () => near.destroy());
      far.on("error", () => far.destroy());
    });
    const refused = () => join(near, index + 1, left - 1);
    far.once("error", refused);
    far.once("connect", () => far.off("error", refused));
  }

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the relay has no port");
  return {
    port: address.port,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
