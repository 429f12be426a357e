/** One thing that must work for a slice to serve; `check` throws or answers with a sentence when it does not. */
export interface HealthCheck {
  readonly name: string;
  check(): Promise<string | undefined>;
}

export interface HealthReport {
  readonly ok: boolean;
  readonly checks: Readonly<Record<string, string>>;
}

/** Liveness says that the process runs; readiness that it can serve. A dead dependency is never a reason to be restarted. */
export interface Health {
  live(): HealthReport;
  ready(): Promise<HealthReport>;
  /** From now on not ready: said before connections are closed. */
  stopping(): void;
}

/** The slices of one process, for the readiness that they share. */
export interface Roster {
  /** For the readiness of the slice `name`: all have started and the others are ready; says which one is not. */
  checkOf(name: string): HealthCheck;
  /** This slice has started; `own` is what it says of itself alone. */
  joined(name: string, own: Health): void;
}

const CHECK_TIMEOUT_MS = 2_000;
const MAX_LAG_MS = 10_000;

/** Collects checks. Readiness is false until `started` is called by the host. */
export function createHealth(checks: readonly HealthCheck[], now: () => number = Date.now): Health {
  let stopping = false;
  let beatAtMs = now();
  // A blocked event loop stops this beat; the next probe after it sees how long ago the last one was.
  setInterval(() => {
    beatAtMs = now();
  }, 500).unref();

  return {
    live() {
      const lagMs = now() - beatAtMs;
      return { ok: lagMs < MAX_LAG_MS, checks: { eventLoop: `${Math.round(lagMs)} ms behind` } };
    },
    async ready() {
      const results = await Promise.all(
        checks.map(async (check) => [check.name, await resultOf(check)] as const),
      );
      const said = Object.fromEntries(results.map(([name, failure]) => [name, failure ?? "ok"]));
      if (stopping) return { ok: false, checks: { ...said, process: "stopping" } };
      return { ok: results.every(([, failure]) => failure === undefined), checks: said };
    },
    stopping() {
      stopping = true;
    },
  };
}

/**
 * Makes the roster of a process that runs these slices. A probe asks one port of the pod and answers for all of them, so no slice
 * may say ready while another one of the same process is not.
 */
export function createRoster(names: readonly string[]): Roster {
  const members = new Map<string, Health>();
  return {
    checkOf: (asked) => ({
      name: "slices",
      async check() {
        const missing = names.find((name) => !members.has(name));
        if (missing !== undefined) return `${missing} has not started`;
        const others = [...members].filter(([name]) => name !== asked);
        const reports = await Promise.all(
          others.map(async ([name, own]) => [name, await own.ready()] as const),
        );
        const [name, report] = reports.find(([, { ok }]) => !ok) ?? [];
        if (report === undefined) return undefined;
        const [failed, said] = Object.entries(report.checks).find(([, word]) => word !== "ok") ?? [];
        return `${name} is not ready: ${failed}: ${said}`;
      },
    }),
    joined: (name, own) => void members.set(name, own),
  };
}

async function resultOf(check: HealthCheck): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve("no answer in time"), CHECK_TIMEOUT_MS);
  });
  try {
    return await Promise.race([check.check(), late]);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    clearTimeout(timer);
  }
}
