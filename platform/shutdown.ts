import { errorText, type Logger } from "./log.ts";

export interface ShutdownStep {
  readonly name: string;
  run(): Promise<void> | void;
}

/**
 * On SIGTERM or SIGINT runs the steps in order, then exits 0; a step that fails is logged and the next one runs.
 * After `graceMs` the process exits 1 all the same. Returns the same procedure for callers that stop by themselves.
 */
export function onShutdown(options: {
  log: Logger;
  steps: readonly ShutdownStep[];
  graceMs: number;
}): () => Promise<void> {
  const { log, steps, graceMs } = options;
  let running: Promise<void> | undefined;

  async function stop(): Promise<void> {
    const timer = setTimeout(() => {
      log.error({ graceMs }, "stopping took too long");
      process.exit(1);
    }, graceMs);
    timer.unref();
    for (const step of steps) {
      try {
        await step.run();
      } catch (error) {
        log.error({ step: step.name, error: errorText(error) }, "a step of stopping failed");
      }
    }
    clearTimeout(timer);
  }

  const once = () => {
    running ??= stop();
    return running;
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const)
    process.on(signal, () => {
      log.info({ signal }, "stopping");
      void once().then(() => process.exit(0));
    });
  return once;
}
