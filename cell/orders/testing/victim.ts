import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { freePorts } from "../../../local/ports.ts";
import type { TestCenter } from "./center.ts";
import { gatewayHeaders } from "./wire.ts";

/** A request that a copy of the slice dies over. */
export interface LastWish {
  readonly user: string;
  readonly role: "customer" | "staff" | "picker";
  readonly path: string;
  readonly body: object;
  readonly key: string;
}

const READY = "ready";

/**
 * Starts a copy of the orders slice that kills itself at `moment` (as `replica.ts` names it), and asks it this. Resolves when it is dead:
 * with the signal that ended it, null when it came to its end by itself. Throws when the request had an answer all the same.
 */
export async function dieOver(
  { cell }: TestCenter,
  moment: string,
  { user, role, path, body, key }: LastWish,
): Promise<NodeJS.Signals | null> {
  const [port] = await freePorts(1);
  const child = spawn(process.execPath, [join(import.meta.dirname, "replica.ts")], {
    env: { ...process.env, ...cell.env, DIE_AT: moment, PORT_ORDERS: String(port) },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
  try {
    const said = await Promise.race([once(child.stdout, "data"), ended]);
    if (!String(said[0]).startsWith(READY)) throw new Error("the copy of orders ended before it was ready");
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
      method: "POST",
      headers: await gatewayHeaders(cell, key, { "x-cells-user": user, "x-cells-roles": role }),
      body: JSON.stringify(body),
    }).catch(() => undefined);
    if (answer) throw new Error(`${moment}: answered ${answer.status} ${await answer.text()}`);
    const [, signal] = await ended;
    return signal;
  } finally {
    child.kill("SIGKILL");
  }
}
