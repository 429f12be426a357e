import type { KubeMetrics } from "./ports.ts";
import type { Priority } from "./ready.ts";

/** Seconds from 10 ns to 1000 s; the buckets of controller-runtime's workqueue metrics. */
const BUCKETS = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100, 1000];
/** controller-runtime's numbers for its two usual priorities. */
const NUMBER_OF: Readonly<Record<Priority, string>> = { normal: "0", low: "-100" };

/** The metrics of one queue under the names and labels of controller-runtime, so that its dashboards fit. */
export function queueMetrics(metrics: KubeMetrics, name: string) {
  const labels = { name, controller: name };
  const own = ["name", "controller"];
  const adds = metrics.counter("workqueue_adds_total", "Total number of adds handled by workqueue", own);
  const retries = metrics.counter(
    "workqueue_retries_total",
    "Total number of retries handled by workqueue",
    own,
  );
  const depth = metrics.gauge("workqueue_depth", "Current depth of workqueue by workqueue and priority", [
    ...own,
    "priority",
  ]);
  const queued = "How long in seconds an item stays in workqueue before being requested";
  const waited = metrics.histogram("workqueue_queue_duration_seconds", queued, BUCKETS, own);
  const work = "How long in seconds processing an item from workqueue takes";
  const worked = metrics.histogram("workqueue_work_duration_seconds", work, BUCKETS, own);
  const unfinished = metrics.gauge(
    "workqueue_unfinished_work_seconds",
    "Seconds of work in progress that work_duration does not show yet",
    own,
  );
  const longest = metrics.gauge(
    "workqueue_longest_running_processor_seconds",
    "How many seconds the longest running processor has been running",
    own,
  );
  return {
    adds: () => adds.inc(labels),
    retries: () => retries.inc(labels),
    depth: (priority: Priority, value: number) =>
      depth.set({ ...labels, priority: NUMBER_OF[priority] }, value),
    waited: (seconds: number) => waited.observe(labels, seconds),
    worked: (seconds: number) => worked.observe(labels, seconds),
    unfinished(sum: number, max: number) {
      unfinished.set(labels, sum);
      longest.set(labels, max);
    },
  };
}
