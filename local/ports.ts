import { createServer } from "node:net";

/**
 * Below the range that the kernel takes from when a program asks for any port or connects without one (32768 to 60999 by default:
 * `ip_local_port_range` in ip(7)), and below Kubernetes' node ports. So nobody gets one of ours by chance between the moment we
 * choose it and the moment its server listens, nor while a server that was killed is started again.
 */
const FIRST = 12_000;
const SPAN = 18_000;
/** Programs that choose at the same time have different process numbers, so they begin this far apart. */
const STRIDE = 64;

let next = process.pid * STRIDE;

/** `count` different TCP ports on which nobody listens at the loopback address; a later call gives later ones. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let tried = 0; ports.length < count; tried++) {
    if (tried === SPAN)
      throw new Error(
        `no ${count} ports are free from ${FIRST} to ${FIRST + SPAN - 1}: stop what listens there`,
      );
    const port = FIRST + (next++ % SPAN);
    if (await isFree(port)) ports.push(port);
  }
  return ports;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) =>
      error.code === "EADDRINUSE" ? resolve(false) : reject(error),
    );
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
