import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { KubeObject } from "../objects.ts";
import { type FakeAnswer, type FakeStorage, refuse } from "./fakestorage.ts";

/** What may not change once an object exists, by kind and name of the field in its spec. */
const FIXED: Readonly<Record<string, readonly string[]>> = {
  Job: ["template", "selector", "completions"],
  StatefulSet: ["volumeClaimTemplates", "selector", "serviceName", "podManagementPolicy"],
  Deployment: ["selector"],
};

/** What the API server does to the built-in kinds before it stores them, as far as an operator can tell. */
export function admitBuiltIn(
  storage: FakeStorage,
  object: KubeObject,
  before: KubeObject | undefined,
): KubeObject | FakeAnswer {
  if (before !== undefined) return unchangedOf(object, before) ?? object;
  const { namespace, name } = object.metadata;
  if (namespace !== undefined) {
    const home = storage.get("namespaces", `/${namespace}`);
    if (home === undefined) return refuse(404, "NotFound", `namespaces "${namespace}" not found`);
    if (home.metadata.deletionTimestamp !== undefined)
      return refuse(
        403,
        "Forbidden",
        `unable to create new content in namespace ${namespace} because it is being terminated`,
      );
  }
  if (object.kind === "Namespace")
    return {
      ...object,
      metadata: {
        ...object.metadata,
        labels: { ...object.metadata.labels, "kubernetes.io/metadata.name": name },
      },
      spec: { finalizers: ["kubernetes"] },
      status: { phase: "Active" },
    };
  if (object.kind === "Service") {
    const spec = object.spec as { clusterIP?: string };
    return { ...object, spec: { ...spec, clusterIP: spec.clusterIP ?? addressOf(`${namespace}/${name}`) } };
  }
  return object;
}

function unchangedOf(object: KubeObject, before: KubeObject): FakeAnswer | undefined {
  const [was, is] = [before.spec, object.spec] as [Record<string, unknown>?, Record<string, unknown>?];
  const touched = (FIXED[object.kind] ?? []).find((field) => !isDeepStrictEqual(was?.[field], is?.[field]));
  return touched === undefined
    ? undefined
    : refuse(
        422,
        "Invalid",
        `${object.kind} "${object.metadata.name}" is invalid: spec.${touched}: field is immutable`,
      );
}

/** An address that a Service has in every run. */
function addressOf(name: string): string {
  const [a = 0, b = 0] = createHash("sha256").update(name).digest();
  return `10.96.${a}.${b}`;
}
