import type { Grant } from "../../operator/access.ts";
import type { KubeObject } from "../../platform/kube/objects.ts";

interface Rule {
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
  readonly nonResourceURLs?: readonly string[];
}

export function rulesOf(role: KubeObject): readonly Rule[] {
  return (role.rules ?? []) as readonly Rule[];
}

/** One line for each verb that rules grant, sorted: "apps/deployments[names] patch". */
export function grantedBy(rules: readonly Rule[]): string[] {
  const lines = rules.flatMap(({ apiGroups = [], resources = [], resourceNames, verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) => verbs.map((verb) => line(group, resource, resourceNames, verb))),
    ),
  );
  return lines.sort();
}

/** The same lines for what the code says it needs. */
export function neededBy(grants: readonly Grant[]): string[] {
  const lines = grants.flatMap(({ ref, subresource, names, verbs }) => {
    const resource = subresource === undefined ? ref.plural : `${ref.plural}/${subresource}`;
    return verbs.map((verb) => line(ref.group, resource, names, verb));
  });
  return lines.sort();
}

function line(group: string, resource: string, names: readonly string[] | undefined, verb: string): string {
  return `${group}/${resource}${names === undefined ? "" : `[${names.join()}]`} ${verb}`;
}

/** Verbs that hand out rights or take over an identity. */
const TAKEOVER = new Set(["escalate", "bind", "impersonate", "approve", "sign"]);
/** Resources through which a process becomes another, or reads what it should not. */
const DANGEROUS = [
  /^pods\/(exec|attach|portforward|proxy|ephemeralcontainers)$/,
  /^nodes/,
  /^serviceaccounts\/token$/,
  /^(cluster)?roles/,
  /^(cluster)?rolebindings/,
  /webhookconfigurations$/,
  /^certificatesigningrequests/,
];

/** Every reason why a reviewer would refuse these rules, as sentences. */
export function dangersOf(role: KubeObject): string[] {
  return rulesOf(role).flatMap(({ apiGroups = [], resources = [], verbs, nonResourceURLs = [] }) => [
    ...[...apiGroups, ...resources, ...verbs, ...nonResourceURLs]
      .filter((word) => word.includes("*"))
      .map((word) => `${role.metadata.name} grants the wildcard ${word}`),
    ...verbs.filter((verb) => TAKEOVER.has(verb)).map((verb) => `${role.metadata.name} grants ${verb}`),
    ...verbs
      .filter((verb) => verb === "deletecollection")
      .map(() => `${role.metadata.name} may delete whole lists`),
    ...resources
      .filter((resource) => DANGEROUS.some((pattern) => pattern.test(resource)))
      .map((resource) => `${role.metadata.name} reaches ${resource}`),
  ]);
}
