import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import type { Situation } from "./facts.ts";
import { find, type Observed } from "./observed.ts";
import type { Steps } from "./steps.ts";
import type { Verdict } from "./verdicts.ts";
import { rolloutOf } from "./workloads.ts";

/** Serving with less than the spec asks for. A rollout is not: it keeps every pod until its successor is available. */
export function degradedOf(
  fc: FulfillmentCenter,
  observed: Observed,
  situation: Situation,
  states: Steps,
  available: Verdict,
): Verdict {
  const full: Verdict = [
    "False",
    "NotDegraded",
    "The cell serves at full strength, or not at all; see Available.",
  ];
  if ((situation.kind !== "building" && !isLeftAlone(situation)) || available[0] !== "True") return full;
  if (situation.kind === "building" && states.CacheReady.kind !== "done")
    return ["True", "CacheNotReady", states.CacheReady.message];
  if (situation.kind !== "building" && !storeStands("cache", observed))
    return ["True", "CacheNotReady", "Not every pod of the cache is ready; look at its pods."];
  const kafka = kafkaAway(fc, observed);
  if (kafka !== undefined) return kafka;
  const deployments =
    situation.kind === "building"
      ? situation.facts.deployments
      : observed.objects.filter(({ kind }) => kind === "Deployment");
  const short = deployments.filter((desired) => {
    const live = find(observed, "Deployment", desired.metadata.name);
    return live !== undefined && rolloutOf(live).available < rolloutOf(live).replicas;
  });
  if (short.length === 0) return full;
  const names = short.map(({ metadata }) => metadata.name).join(", ");
  return ["True", "PodsMissing", `Not every pod is available of: ${names}; see ServicesReady.`];
}

/** An operator that has just begun, and has not reached the brokers yet, goes by what was said before. */
function kafkaAway({ status }: FulfillmentCenter, { brokers }: Observed): Verdict | undefined {
  if (brokers === undefined || brokers.state === "reached") return undefined;
  const said = status?.conditions?.find(({ type }) => type === "Degraded");
  if (brokers.state === "unknown" && (said?.status !== "True" || said.reason !== "KafkaUnreachable"))
    return undefined;
  return [
    "True",
    "KafkaUnreachable",
    `Kafka at ${brokers.list} does not answer. Orders are taken and nothing is lost: the services of the cell tell each other directly until it is back. Look at the brokers.`,
  ];
}

/** Nothing is built, and what is there is looked at all the same. */
export function isLeftAlone(
  situation: Situation,
): situation is Extract<Situation, { readonly kind: "paused" | "halted" }> {
  return situation.kind === "paused" || situation.kind === "halted";
}

/** By its own spec: a paused operator compares with nothing else. */
export function storeStands(name: string, observed: Observed): boolean {
  const live = rolloutOf(find(observed, "StatefulSet", name));
  return live.replicas > 0 && live.ready >= live.replicas;
}
