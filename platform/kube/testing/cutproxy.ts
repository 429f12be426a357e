import { connect, createServer, type Socket } from "node:net";

/** A TCP proxy on loopback whose line can be cut or held. */
export interface CutProxy {
  readonly port: number;
  /** Breaks every connection, and each new one until `restore`. */
  cut(): void;
  /** Carries no byte any more in either direction and says nothing of it, as when a cable is pulled. */
  hold(): void;
  /** Lets new connections through; those that were held stay dead. */
  restore(): void;
  close(): Promise<void>;
}

/** Starts the proxy for a port of 127.0.0.1. */
export async function startCutProxy(targetPort: number): Promise<CutProxy> {
  const pairs = new Set<readonly [Socket, Socket]>();
  let isCut = false;
  const server = createServer((inner) => {
    if (isCut) {
      inner.destroy();
      return;
    }
    const outer = connect(targetPort, "127.0.0.1");
    const pair = [inner, outer] as const;
    pairs.add(pair);
    inner.pipe(outer).pipe(inner);
    for (const socket of pair) {
      socket.on("error", () => undefined);
      socket.on("close", () => {
        for (const each of pair) each.destroy();
        pairs.delete(pair);
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const destroyAll = () => {
    for (const [inner] of pairs) inner.destroy();
  };
  return {
    port: (server.address() as { port: number }).port,
    cut() {
      isCut = true;
      destroyAll();
    },
    hold() {
      for (const [inner, outer] of pairs) {
        inner.unpipe(outer).pause();
        outer.unpipe(inner).pause();
      }
    },
    restore() {
      isCut = false;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        destroyAll();
      }),
  };
}
