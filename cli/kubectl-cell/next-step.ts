import type { FulfillmentCenter } from "../../operator/api/fulfillment-center.ts";
import { ANNOTATIONS, cellNamespace } from "../../operator/api/names.ts";
import { findCondition, isDeleting } from "../../platform/kube/objects.ts";

/** What to do next: a sentence, and a command to copy where one helps. */
export interface NextStep {
  readonly sentence: string;
  readonly command?: string;
}

/** The one thing that brings a center on, from its spec and status alone. */
export function nextStep(fc: FulfillmentCenter): NextStep {
  const { name } = fc.metadata;
  const conditions = fc.status?.conditions;
  const on = (type: string) => {
    const condition = findCondition(conditions, type);
    return condition?.status === "True" ? condition : undefined;
  };
  if (conditions === undefined || conditions.length === 0)
    return {
      sentence: "no operator has looked at it yet: see whether one runs.",
      command: "kubectl get pods -A -l app.kubernetes.io/component=operator",
    };
  if (isDeleting(fc)) return deletion(fc, on("Stalled")?.reason);
  if ((fc.status?.observedGeneration ?? -1) < (fc.metadata.generation ?? 0))
    return waitFor(name, "wait until the operator has looked at the change.");
  const lost = on("DataLost");
  if (lost !== undefined)
    return annotated(name, ANNOTATIONS.acknowledgeDataLoss, lost.message) ?? { sentence: lost.message };
  if (fc.spec.paused)
    return {
      sentence: "the operator acts again when it is no longer paused.",
      command: specPatch(name, { paused: false }),
    };
  const stalled = on("Stalled");
  if (stalled !== undefined)
    return (
      annotated(name, ANNOTATIONS.adopt, stalled.message) ??
      withCommand(stalled.message, commandIn(stalled.message))
    );
  return going(fc, on("Ready") !== undefined, on("Degraded")?.message, on("Draining")?.reason);
}

function going(
  fc: FulfillmentCenter,
  ready: boolean,
  degraded: string | undefined,
  draining: string | undefined,
): NextStep {
  const { name } = fc.metadata;
  if (!ready) return progress(fc);
  if (fc.spec.mode === "Fenced")
    return {
      sentence: "nothing writes; let it write again when you are done.",
      command: `kubectl cell activate ${name}`,
    };
  if (fc.spec.mode === "Draining")
    return draining === "Drained"
      ? {
          sentence: "it is empty: shut its writers out, or let it take orders again with activate.",
          command: `kubectl cell fence ${name}`,
        }
      : {
          sentence: "open orders are finished here; let it take new ones again when you are done.",
          command: `kubectl cell activate ${name}`,
        };
  if (degraded !== undefined) {
    const namespace = fc.status?.namespace ?? cellNamespace(name);
    return withCommand(
      "it serves with less than it should: see why.",
      commandIn(degraded) ?? `kubectl -n ${namespace} get pods`,
    );
  }
  return {
    sentence: "nothing to do. Before a change, look at what it will do.",
    command: "kubectl cell plan -f FILE",
  };
}

function progress(fc: FulfillmentCenter): NextStep {
  const { name } = fc.metadata;
  const [blocker] = fc.status?.blockers ?? [];
  const message = findCondition(fc.status?.conditions, "Ready")?.message ?? "";
  const said = commandIn(message);
  if (said !== undefined) return { sentence: "it waits; see why.", command: said };
  if (blocker !== undefined) {
    const namespace = fc.status?.namespace ?? cellNamespace(name);
    return {
      sentence: `it waits for ${blocker.kind} ${blocker.name}; see why.`,
      command: `kubectl -n ${namespace} describe ${blocker.kind.toLowerCase()} ${blocker.name}`,
    };
  }
  return waitFor(name, "wait; nobody has to act.");
}

function deletion(fc: FulfillmentCenter, stalled: string | undefined): NextStep {
  const { name } = fc.metadata;
  const message = findCondition(fc.status?.conditions, "Deleting")?.message;
  if (stalled === "Protected")
    return {
      sentence: "it is protected from deletion; allow it if you mean it.",
      command: specPatch(name, { deletion: { protection: false } }),
    };
  if (stalled !== undefined && message !== undefined) return withCommand(message, commandIn(message));
  return {
    sentence: "wait until it is gone.",
    command: `kubectl wait --for=delete fc/${name} --timeout=10m`,
  };
}

function waitFor(name: string, sentence: string): NextStep {
  return { sentence, command: `kubectl wait --for=condition=Ready fc/${name} --timeout=5m` };
}

function specPatch(name: string, spec: Record<string, unknown>): string {
  return `kubectl patch fc ${name} --type=merge -p '${JSON.stringify({ spec })}'`;
}

/** The annotation that a message asks for, as the command that sets it. */
function annotated(name: string, key: string, message: string): NextStep | undefined {
  const value = new RegExp(`${key.replaceAll(".", "\\.")}=([A-Za-z0-9-]+)`).exec(message)?.[1];
  if (value === undefined) return undefined;
  return { sentence: message, command: `kubectl annotate fc ${name} ${key}=${value}` };
}

/** The first kubectl command in a message. */
function commandIn(message: string): string | undefined {
  return /kubectl (?:[^\s;,.]|\.(?=\S)|,(?=\S)| (?!and |then |or ))+/.exec(message)?.[0];
}

function withCommand(sentence: string, command: string | undefined): NextStep {
  return command === undefined ? { sentence } : { sentence, command };
}
