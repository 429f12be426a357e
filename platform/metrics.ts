import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

export type Labels = Readonly<Record<string, string>>;

export interface CounterHandle {
  inc(labels?: Labels, value?: number): void;
}
export interface GaugeHandle {
  set(labels: Labels, value: number): void;
  /** Shows these rows and no others from now on, at most 100: for labels that come and go. */
  replace(rows: readonly { readonly labels: Labels; readonly value: number }[]): void;
}
export interface HistogramHandle {
  observe(labels: Labels, value: number): void;
}

/** A registry. Asking twice for one name gives the same series; label values must come from closed sets. */
export interface Metrics {
  counter(name: string, help: string, labelNames?: readonly string[]): CounterHandle;
  gauge(name: string, help: string, labelNames?: readonly string[]): GaugeHandle;
  histogram(
    name: string,
    help: string,
    buckets: readonly number[],
    labelNames?: readonly string[],
  ): HistogramHandle;
  /** The Prometheus text format. */
  render(): Promise<string>;
  readonly contentType: string;
}

/** Seconds; fit for calls between a fraction of a millisecond and ten seconds. */
export const DURATION_BUCKETS: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

/** Beyond this many label combinations a series takes no new ones: a leak of labels must not become a leak of memory. */
const MAX_COMBINATIONS = 2_000;
const MAX_REPLACED = 100;

/** Makes the registry of one slice; `service` and `cell` are on every series. */
export function createMetrics(options: {
  service: string;
  cell?: string | undefined;
  defaults?: boolean;
}): Metrics {
  const registry = new Registry();
  registry.setDefaultLabels({
    service: options.service,
    ...(options.cell ? { cell_name: options.cell } : {}),
  });
  if (options.defaults) collectDefaultMetrics({ register: registry });
  const handles = new Map<string, unknown>();

  function once<H>(name: string, make: () => H): H {
    const found = handles.get(name);
    if (found !== undefined) return found as H;
    const made = make();
    handles.set(name, made);
    return made;
  }

  function bounded(): (labels: Labels) => boolean {
    const seen = new Set<string>();
    return (labels) => {
      const key = Object.values(labels).join("\u0000");
      if (seen.has(key)) return true;
      if (seen.size >= MAX_COMBINATIONS) return false;
      seen.add(key);
      return true;
    };
  }

  const common = (name: string, help: string, labelNames: readonly string[] = []) => ({
    name,
    help,
    labelNames: [...labelNames],
    registers: [registry],
  });

  return {
    contentType: registry.contentType,
    render: () => registry.metrics(),
    counter: (name, help, labelNames) =>
      once(name, () => {
        const counter = new Counter(common(name, help, labelNames));
        const admit = bounded();
        return { inc: (labels: Labels = {}, value = 1) => admit(labels) && counter.inc(labels, value) };
      }) as CounterHandle,
    gauge: (name, help, labelNames) =>
      once(name, () => {
        const gauge = new Gauge(common(name, help, labelNames));
        const admit = bounded();
        return {
          set: (labels: Labels, value: number) => admit(labels) && gauge.set(labels, value),
          replace(rows: readonly { readonly labels: Labels; readonly value: number }[]) {
            gauge.reset();
            for (const { labels, value } of rows.slice(0, MAX_REPLACED)) gauge.set(labels, value);
          },
        };
      }) as GaugeHandle,
    histogram: (name, help, buckets, labelNames) =>
      once(name, () => {
        const histogram = new Histogram({ ...common(name, help, labelNames), buckets: [...buckets] });
        const admit = bounded();
        return {
          observe: (labels: Labels, value: number) => admit(labels) && histogram.observe(labels, value),
        };
      }) as HistogramHandle,
  };
}
