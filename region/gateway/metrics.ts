import type { Metrics } from "../../platform/metrics.ts";

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export type GatewayMetrics = ReturnType<typeof createGatewayMetrics>;

/** The gateway's own series. Labels are closed sets: cells of the table, slices, status codes, problem codes. */
export function createGatewayMetrics(metrics: Metrics) {
  return {
    requests: metrics.counter("gateway_requests_total", "Requests answered, by the cell that answered.", [
      "cell",
      "slice",
      "code",
    ]),
    seconds: metrics.histogram("gateway_request_seconds", "Time to the head of the answer.", SECONDS, [
      "slice",
    ]),
    retries: metrics.counter("gateway_retries_total", "Requests sent to a cell a second time.", ["cell"]),
    rejections: metrics.counter("gateway_rejections_total", "Requests the gateway itself refused.", [
      "reason",
    ]),
    rerouted: metrics.counter(
      "gateway_rerouted_total",
      "Orders taken by another cell than the table alone would have chosen.",
      ["from", "to"],
    ),
    inFlight: metrics.gauge("gateway_cell_in_flight", "Requests under way to a cell, event streams aside.", [
      "cell",
    ]),
    refused: metrics.counter(
      "gateway_cell_refused_total",
      "Requests not sent to a cell: its cap was reached (full), or its breaker was open (breaker-open).",
      ["cell", "reason"],
    ),
    breaker: metrics.gauge("gateway_cell_breaker_state", "0 closed, 1 half-open, 2 open.", ["cell"]),
    weight: metrics.gauge("gateway_cell_weight", "The weight in effect: 0 while drained or out of service.", [
      "cell",
    ]),
    firstRefused: metrics.gauge(
      "gateway_cell_first_refused_timestamp_seconds",
      "When the latest row of failures of a cell began.",
      ["cell"],
    ),
    removedAt: metrics.gauge("gateway_cell_removed_timestamp_seconds", "When a cell was last taken out.", [
      "cell",
    ]),
    restoredAt: metrics.gauge("gateway_cell_restored_timestamp_seconds", "When a cell was last taken back.", [
      "cell",
    ]),
    tableVersion: metrics.gauge("gateway_routing_table_version", "Version of the routing table in use."),
    tableAge: metrics.gauge(
      "gateway_routing_table_age_seconds",
      "Time since the table's source was last heard.",
    ),
    tableRejected: metrics.counter("gateway_routing_table_rejected_total", "Tables not taken into use.", [
      "reason",
    ]),
  };
}
