import { fork } from "node:child_process";
import { once } from "node:events";
import { basename } from "node:path";

/** A process of its own that answers one request after the other. */
export interface Child {
  readonly pid: number;
  ask<T>(name: string, ...args: readonly unknown[]): Promise<T>;
  /** Asks it to end by itself, and ends it when it does not. */
  stop(): Promise<void>;
}

interface Reply {
  readonly id: number;
  readonly ok: boolean;
  readonly value: unknown;
}

const STOP_GRACE_MS = 10_000;

/** Starts `entry` with `args`; what it prints on standard error is shown. `profileDir`: where to leave a CPU profile. */
export function startChild(
  entry: string,
  args: readonly string[],
  options: { readonly env?: NodeJS.ProcessEnv; readonly profileDir?: string | undefined } = {},
): Child {
  const { env = process.env, profileDir } = options;
  const label = [basename(entry), ...args].join(" ");
  const execArgv = profileDir === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profileDir}`];
  const child = fork(entry, args, { env, execArgv, stdio: ["ignore", "ignore", "inherit", "ipc"] });
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  const exited = once(child, "exit").then(([code]) => {
    for (const { reject } of waiting.values()) reject(new Error(`The process of ${label} ended (${code}).`));
    waiting.clear();
  });
  let asked = 0;
  child.on("message", (message) => {
    const { id, ok, value } = message as Reply;
    const asker = waiting.get(id);
    waiting.delete(id);
    if (ok) asker?.resolve(value);
    else asker?.reject(new Error(`${label}: ${String(value)}`));
  });
  return {
    pid: child.pid ?? 0,
    ask: <T>(name: string, ...rest: readonly unknown[]) =>
      new Promise<T>((resolve, reject) => {
        if (!child.connected) return reject(new Error(`The process of ${label} has ended.`));
        const id = asked++;
        waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
        child.send({ id, name, args: rest });
      }),
    async stop() {
      if (child.connected) child.disconnect();
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_GRACE_MS);
      await exited;
      clearTimeout(timer);
    },
  };
}

type Answers = Readonly<Record<string, (...args: never[]) => Promise<unknown>>>;

/** The other side: answers requests by these functions until the parent goes away, then cleans up and ends. */
export function serveParent(answers: Answers, close: () => Promise<void>): void {
  process.on("message", (message) => {
    const { id, name, args } = message as { id: number; name: string; args: never[] };
    const answer = answers[name];
    const work = answer ? answer(...args) : Promise.reject(new Error(`nobody answers ${name}`));
    work.then(
      (value) => process.send?.({ id, ok: true, value }),
      (error: unknown) =>
        process.send?.({ id, ok: false, value: error instanceof Error ? error.message : String(error) }),
    );
  });
  process.on("disconnect", () => {
    // Leaving by exit() writes the CPU profile, too.
    close().then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`${String(error)}\n`);
        process.exit(1);
      },
    );
  });
}
