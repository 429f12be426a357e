import { afterEach, beforeEach, expect, it } from "vitest";
import { createMetrics } from "../metrics.ts";
import { createApplier } from "./applycache.ts";
import { createKubeClient, type KubeClient } from "./client.ts";
import { createController } from "./controller.ts";
import { createInformer } from "./informer.ts";
import { createLease } from "./lease.ts";
import { type KubeMetrics, silentLog } from "./ports.ts";
import { type FakeApiServer, sendStatus, startFakeApiServer } from "./testing/fakeserver.ts";
import { WIDGET, widget } from "./testing/objects.ts";
import { until } from "./testing/until.ts";

/** Name, type and labels of every series of this folder: those of client-go and controller-runtime, then our own. */
const TABLE = `
workqueue_adds_total                               counter   name controller
workqueue_depth                                    gauge     name controller priority
workqueue_longest_running_processor_seconds        gauge     name controller
workqueue_queue_duration_seconds                   histogram name controller
workqueue_retries_total                            counter   name controller
workqueue_unfinished_work_seconds                  gauge     name controller
workqueue_work_duration_seconds                    histogram name controller
controller_runtime_active_workers                  gauge     controller
controller_runtime_max_concurrent_reconciles       gauge     controller
controller_runtime_reconcile_errors_total          counter   controller
controller_runtime_reconcile_panics_total          counter   controller
controller_runtime_reconcile_time_seconds          histogram controller
controller_runtime_reconcile_timeouts_total        counter   controller
controller_runtime_reconcile_total                 counter   controller result
controller_runtime_terminal_reconcile_errors_total counter   controller
rest_client_request_duration_seconds               histogram verb host
rest_client_request_retries_total                  counter   code verb host
rest_client_requests_total                         counter   code method host
leader_election_master_status                      gauge     name
reflector_last_heard_timestamp_seconds             gauge     resource
reflector_relists_total                            counter   resource
reflector_watch_restarts_total                     counter   resource reason
applier_applies_total                              counter   resource outcome
`;

let server: FakeApiServer;
let client: KubeClient;
let stop: AbortController;

beforeEach(async () => {
  server = await startFakeApiServer();
  stop = new AbortController();
});
afterEach(async () => {
  stop.abort();
  await client.close();
  await server.close();
});

/** A real registry that writes down what it is asked for. */
function observedMetrics() {
  const metrics = createMetrics({ service: "operator", defaults: true });
  const rows = new Set<string>();
  const asked =
    (type: string) =>
    (name: string, labels: readonly string[] = []) =>
      void rows.add([name, type, ...labels].join(" "));
  const observed: KubeMetrics = {
    counter: (name, help, labels) => {
      asked("counter")(name, labels);
      return metrics.counter(name, help, labels);
    },
    gauge: (name, help, labels) => {
      asked("gauge")(name, labels);
      return metrics.gauge(name, help, labels);
    },
    histogram: (name, help, buckets, labels) => {
      asked("histogram")(name, labels);
      return metrics.histogram(name, help, buckets, labels);
    },
  };
  return { metrics, observed, rows };
}

it("have the names, types and labels of client-go and controller-runtime, and those of this table alone", async () => {
  const { metrics, observed, rows } = observedMetrics();
  const shared = { log: silentLog, metrics: observed };
  client = createKubeClient(server.config, { ...shared, userAgent: "tests", fieldManager: "us" });
  const informer = createInformer({ ...shared, client, ref: WIDGET });
  const { store } = informer;
  const applier = createApplier({ client, refOf: () => WIDGET, storeOf: () => store, metrics: observed });
  const controller = createController({
    ...shared,
    name: "widget",
    reconcile: async (key) => {
      await applier.apply(widget(key), { owner: key });
    },
  });
  const lease = createLease({ ...shared, client, name: "leader", namespace: "system", identity: "one" });
  server.fail(
    ({ name }) => name === "nobody",
    (_request, response) => sendStatus(response, 429, { retryAfterSeconds: 0 }),
  );
  await client.get(WIDGET, { namespace: "shop", name: "nobody" });
  const following = informer.run(stop.signal);
  const leading = lease.run((signal) => controller.run(signal), stop.signal);
  controller.enqueue("a", "low");
  const reconciled =
    'controller_runtime_reconcile_total{controller="widget",result="success",service="operator"} 1';
  await until("the widget is reconciled", async () => (await metrics.render()).includes(reconciled));
  expect([...rows].sort()).toEqual(
    TABLE.trim()
      .split("\n")
      .map((row) => row.replace(/ +/g, " "))
      .sort(),
  );
  const text = await metrics.render();
  for (const sample of [
    'rest_client_request_retries_total{code="429",verb="GET",host="',
    'rest_client_requests_total{code="404",method="GET",host="',
    'leader_election_master_status{name="leader",service="operator"} 1',
    'workqueue_adds_total{name="widget",controller="widget",service="operator"} 1',
    'controller_runtime_max_concurrent_reconciles{controller="widget",service="operator"} 4',
    'applier_applies_total{resource="widgets.tests.fulfillment.io",outcome="changed",service="operator"} 1',
    "# TYPE nodejs_eventloop_lag_seconds gauge",
  ])
    expect(text).toContain(sample);
  stop.abort();
  await Promise.all([following, leading]);
});
