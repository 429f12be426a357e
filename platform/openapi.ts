import { z } from "zod";
import { createDocument, type ZodOpenApiObject, type ZodOpenApiPathsObject } from "zod-openapi";
import { needsKey, type Route } from "./http.ts";

const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string(),
    code: z.string(),
  })
  .meta({ id: "Problem", description: "RFC 9457 problem details." });

const PROBLEM = {
  description: "A problem; `code` says which, `detail` what to do.",
  content: { "application/problem+json": { schema: problemSchema } },
};

export interface OpenApiOptions {
  readonly description?: string;
  /** Groups the operations. */
  tagOf?(route: Route): string;
}

const USER = "user";

/** The OpenAPI 3.1 document of a slice or of the gateway, made of nothing but its routes. */
export function openApiOf(
  title: string,
  version: string,
  routes: readonly Route[],
  { description, tagOf }: OpenApiOptions = {},
): unknown {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) {
    const path = route.path.replace(/:(\w+)/g, "{$1}");
    paths[path] ??= {};
    paths[path][route.method.toLowerCase()] = {
      ...operationOf(route),
      ...(tagOf ? { tags: [tagOf(route)] } : {}),
    };
  }
  const document: ZodOpenApiObject = {
    openapi: "3.1.0",
    info: { title, version, ...(description === undefined ? {} : { description }) },
    paths: paths as ZodOpenApiPathsObject,
    components: {
      securitySchemes: { [USER]: { type: "http", scheme: "bearer", bearerFormat: "JWT" } },
    },
  };
  return createDocument(document);
}

function operationOf(route: Route): Record<string, unknown> {
  const names = [...route.path.matchAll(/:(\w+)/g)].map((match) => match[1] ?? "");
  const keyed = needsKey(route);
  return {
    summary: route.summary,
    ...(typeof route.access === "object"
      ? { security: [{ [USER]: [] }], description: `For: ${route.access.roles.join(", ")}.` }
      : {}),
    requestParams: {
      ...(names.length > 0
        ? { path: z.object(Object.fromEntries(names.map((name) => [name, z.string()]))) }
        : {}),
      ...(route.query instanceof z.ZodObject ? { query: route.query } : {}),
      ...(keyed ? { header: z.object({ "Idempotency-Key": z.string().min(1).max(128) }) } : {}),
    },
    ...(route.body
      ? { requestBody: { required: true, content: { "application/json": { schema: route.body } } } }
      : {}),
    responses: {
      ...Object.fromEntries(
        Object.entries(route.responses).map(([status, schema]) => [
          status,
          { description: "Done.", ...(schema ? { content: { "application/json": { schema } } } : {}) },
        ]),
      ),
      default: PROBLEM,
    },
  };
}
