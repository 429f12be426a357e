import { appendFileSync } from "node:fs";
import {
  type Attributes,
  context,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";

export interface Tracing {
  /** Sends what is still buffered; never rejects. */
  stop(): Promise<void>;
}

export interface TracingOptions {
  readonly service: string;
  readonly cell?: string | undefined;
  /** Base URL of an OTLP/HTTP collector; without one, traces are made and passed on but sent nowhere. */
  readonly otlpEndpoint?: string | undefined;
  /** A file that gets one JSON line for each span, for tests and for looking by hand. */
  readonly file?: string | undefined;
}

const TRACER = "fulfillment-cells";
const STOP_TIMEOUT_MS = 2_000;

/**
 * Starts tracing for this process. Spans are made by hand in `platform` (HTTP in and out, Kafka in and out,
 * transactions): patching modules at load time does nothing, silently, when an ES module was loaded first.
 */
export async function startTracing(options: TracingOptions): Promise<Tracing> {
  const { NodeSDK, tracing, resources } = await import("@opentelemetry/sdk-node");
  const processors = [];
  if (options.file !== undefined)
    processors.push(new tracing.SimpleSpanProcessor(fileExporter(options.file)));
  if (options.otlpEndpoint !== undefined) {
    process.env.OTEL_EXPORTER_OTLP_ENDPOINT = options.otlpEndpoint;
  }
  if (processors.length === 0) processors.push(new tracing.NoopSpanProcessor());
  const attributes = {
    "service.name": options.service,
    ...(options.cell ? { "fulfillment.cell": options.cell } : {}),
  };
  const sdk = new NodeSDK({
    resource: resources.resourceFromAttributes(attributes),
    autoDetectResources: false,
    instrumentations: [],
    ...(options.otlpEndpoint === undefined ? { spanProcessors: processors } : {}),
  });
  sdk.start();
  return {
    async stop() {
      const late = new Promise<void>((resolve) => setTimeout(resolve, STOP_TIMEOUT_MS).unref());
      await Promise.race([sdk.shutdown().catch(() => undefined), late]);
    },
  };
}

interface FinishedSpan {
  readonly name: string;
  readonly kind: number;
  readonly parentSpanContext?: { readonly spanId: string } | undefined;
  readonly attributes: Attributes;
  readonly status: { readonly code: number };
  readonly resource: { readonly attributes: Attributes };
  spanContext(): { traceId: string; spanId: string };
}

function fileExporter(file: string) {
  return {
    export(spans: FinishedSpan[], done: (result: { code: number }) => void) {
      const lines = spans.map((span) => {
        const { traceId, spanId } = span.spanContext();
        const parentSpanId = span.parentSpanContext?.spanId;
        const { name, kind, attributes, status, resource } = span;
        const service = resource.attributes["service.name"];
        return JSON.stringify({
          name,
          kind,
          traceId,
          spanId,
          parentSpanId,
          attributes,
          status: status.code,
          service,
        });
      });
      appendFileSync(file, `${lines.join("\n")}\n`);
      done({ code: 0 });
    },
    shutdown: () => Promise.resolve(),
  };
}

export type SpanSort = "internal" | "server" | "client" | "producer" | "consumer";

const KINDS: Readonly<Record<SpanSort, SpanKind>> = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
};

/** Runs `fn` inside a span; what it throws marks the span as failed and goes on. */
export function withSpan<T>(
  name: string,
  attributes: Attributes,
  fn: () => Promise<T>,
  sort: SpanSort = "internal",
): Promise<T> {
  return trace.getTracer(TRACER).startActiveSpan(name, { attributes, kind: KINDS[sort] }, async (span) => {
    try {
      return await fn();
    } catch (error) {
      span.setStatus({ code: SpanStatusCode.ERROR, message: String(error) });
      throw error;
    } finally {
      span.end();
    }
  });
}

/** The headers that carry the active trace on (W3C Trace Context); empty outside a span. */
export function traceHeaders(): Record<string, string> {
  const headers: Record<string, string> = {};
  propagation.inject(context.active(), headers);
  return headers;
}

/** Runs `fn` in the trace of this `traceparent` (W3C Trace Context), without a span of its own; as things are when it is active already. */
export function inTraceOf<T>(traceparent: string | undefined, fn: () => T): T {
  if (traceparent === undefined || traceparent.split("-")[1] === currentTraceId()) return fn();
  return context.with(propagation.extract(ROOT_CONTEXT, { traceparent }), fn);
}

/** Runs `fn` in a span that continues the trace of the caller whose headers these are. */
export function withRemoteTrace<T>(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  name: string,
  fn: () => Promise<T>,
  sort: SpanSort = "server",
  attributes: Attributes = {},
): Promise<T> {
  const remote = propagation.extract(ROOT_CONTEXT, headers);
  return context.with(remote, () => withSpan(name, attributes, fn, sort));
}

/** The active trace's id; undefined outside a span or before `startTracing`. */
export function currentTraceId(): string | undefined {
  const id = trace.getActiveSpan()?.spanContext().traceId;
  return id === undefined || /^0+$/.test(id) ? undefined : id;
}
