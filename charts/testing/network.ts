import { BlockList, isIP } from "node:net";
import type { KubeObject } from "../../platform/kube/objects.ts";

type Labels = Readonly<Record<string, string>>;
interface Selector {
  readonly matchLabels?: Labels;
  readonly matchExpressions?: readonly { key: string; operator: string; values?: readonly string[] }[];
}
interface Peer {
  readonly podSelector?: Selector;
  readonly namespaceSelector?: Selector;
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] };
}
interface Rule {
  readonly from?: readonly Peer[];
  readonly to?: readonly Peer[];
  readonly ports?: readonly { protocol?: string; port: number; endPort?: number }[];
}
interface PolicySpec {
  readonly podSelector: Selector;
  readonly policyTypes: readonly string[];
  readonly ingress?: readonly Rule[];
  readonly egress?: readonly Rule[];
}

/** A pod, or with `address` alone something outside the cluster that no policy governs. */
export interface Endpoint {
  readonly name: string;
  readonly namespace?: string;
  readonly namespaceLabels?: Labels;
  readonly labels?: Labels;
  readonly address?: string;
}

/**
 * Whether NetworkPolicies let a new connection through: both the sender's egress and the receiver's ingress have to.
 * As the API reference of networking.k8s.io/v1 says: a pod that no policy of a direction selects is open in that
 * direction, and what several policies allow adds up. An ipBlock is taken to match addresses outside the cluster only.
 */
export function allows(
  policies: readonly KubeObject[],
  from: Endpoint,
  to: Endpoint,
  port: number,
  protocol = "TCP",
): boolean {
  const way = { port, protocol };
  return passes(policies, from, "Egress", to, way) && passes(policies, to, "Ingress", from, way);
}

function passes(
  policies: readonly KubeObject[],
  own: Endpoint,
  direction: "Ingress" | "Egress",
  other: Endpoint,
  way: { readonly port: number; readonly protocol: string },
): boolean {
  if (own.namespace === undefined) return true;
  const selecting = policies
    .filter(({ metadata }) => metadata.namespace === own.namespace)
    .map(({ spec }) => spec as PolicySpec)
    .filter((spec) => spec.policyTypes.includes(direction) && matches(spec.podSelector, own.labels));
  if (selecting.length === 0) return true;
  return selecting
    .flatMap((spec) => (direction === "Ingress" ? spec.ingress : spec.egress) ?? [])
    .some((rule) => {
      const peers = direction === "Ingress" ? rule.from : rule.to;
      const reached =
        peers === undefined || peers.length === 0 || peers.some((peer) => isPeer(peer, own, other));
      return reached && (rule.ports === undefined || rule.ports.some((one) => isPort(one, way)));
    });
}

function isPort(
  { protocol = "TCP", port, endPort = port }: { protocol?: string; port: number; endPort?: number },
  way: { readonly port: number; readonly protocol: string },
): boolean {
  return protocol === way.protocol && way.port >= port && way.port <= endPort;
}

function isPeer(peer: Peer, own: Endpoint, other: Endpoint): boolean {
  if (peer.ipBlock !== undefined) return other.address !== undefined && inBlock(peer.ipBlock, other.address);
  if (other.namespace === undefined) return false;
  const near =
    peer.namespaceSelector === undefined
      ? other.namespace === own.namespace
      : matches(peer.namespaceSelector, other.namespaceLabels);
  return near && (peer.podSelector === undefined || matches(peer.podSelector, other.labels));
}

function matches({ matchLabels = {}, matchExpressions = [] }: Selector, labels: Labels = {}): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = labels[key];
      if (operator === "Exists") return value !== undefined;
      if (operator === "NotIn") return value === undefined || !values.includes(value);
      if (operator === "In") return value !== undefined && values.includes(value);
      throw new Error(`operator ${operator} is used by no policy of this project`);
    })
  );
}

function inBlock(block: NonNullable<Peer["ipBlock"]>, address: string): boolean {
  return inRange(block.cidr, address) && !(block.except ?? []).some((cidr) => inRange(cidr, address));
}

function inRange(cidr: string, address: string): boolean {
  const [network = "", bits = ""] = cidr.split("/");
  const family = isIP(network) === 6 ? "ipv6" : "ipv4";
  if ((isIP(address) === 6 ? "ipv6" : "ipv4") !== family) return false;
  const list = new BlockList();
  list.addSubnet(network, Number(bits), family);
  return list.check(address, family);
}
