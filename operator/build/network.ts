import type { KubeObject } from "../../platform/kube/objects.ts";
import { isSliceName, SLICE_NAMES } from "../../platform/slices.ts";
import { LABELS, MANAGER } from "../api/names.ts";
import { type Cell, kafkaBrokers, metadata } from "./cell.ts";
import { perCell } from "./percell.ts";
import {
  CELL_PORTS,
  DATABASE_PORTS,
  FLOWS,
  type Flow,
  type Inside,
  type Outside,
  PRIVATE_RANGES,
} from "./traffic.ts";

const INSIDE: readonly Inside[] = [...SLICE_NAMES, "database", "cache", "provision", "isolation-probe"];
const NAMESPACE_NAME = "kubernetes.io/metadata.name";

type Peer = Record<string, unknown>;
interface Rule {
  readonly peers: readonly Peer[];
  readonly ports: readonly number[];
}

/** Deny everything both ways, then allow what traffic.ts lists. The same objects in both topologies. */
export const buildNetworkPolicies = perCell<readonly KubeObject[]>(policiesOf);

function policiesOf(cell: Cell): KubeObject[] {
  return [
    policy(cell, "default-deny", {}, { policyTypes: ["Ingress", "Egress"] }),
    policy(cell, "dns", {}, { policyTypes: ["Egress"], egress: [dnsRule()] }),
    ...INSIDE.filter((party) => party !== "database" || cell.spec.database.external === undefined).map(
      (party) => partyPolicy(cell, party),
    ),
  ];
}

function partyPolicy(cell: Cell, party: Inside): KubeObject {
  const incoming = merged(
    FLOWS.filter(({ to, side }) => to === party && side !== "egress").map((flow) =>
      rule(cell, flow, flow.from),
    ),
  );
  const outgoing = merged(
    FLOWS.filter(({ from, side }) => from === party && side !== "ingress").map((flow) =>
      rule(cell, flow, flow.to),
    ),
  );
  return policy(cell, `allow-${party}`, podsOf(party), {
    policyTypes: ["Ingress", "Egress"],
    // An empty list is left out: the API server would not store it, and the policy would never look as desired.
    ...listed(
      "ingress",
      incoming.map(({ peers, ports }) => ({ from: peers, ports: tcp(ports) })),
    ),
    ...listed(
      "egress",
      outgoing.map(({ peers, ports }) => ({ to: peers, ports: tcp(ports) })),
    ),
  });
}

function listed(name: string, list: readonly unknown[]): Record<string, unknown> {
  return list.length === 0 ? {} : { [name]: list };
}

/** One rule for each distinct set of ports, so that a policy stays short. */
function merged(rules: readonly (Rule | undefined)[]): Rule[] {
  const byPorts = new Map<string, { peers: Map<string, Peer>; ports: readonly number[] }>();
  for (const one of rules) {
    if (one === undefined) continue;
    const key = one.ports.join();
    const entry = byPorts.get(key) ?? { peers: new Map<string, Peer>(), ports: one.ports };
    for (const peer of one.peers) entry.peers.set(JSON.stringify(peer), peer);
    byPorts.set(key, entry);
  }
  return [...byPorts.values()].map(({ peers, ports }) => ({ peers: [...peers.values()], ports }));
}

/** The rule for one flow as seen from its other end; undefined where this cell has no such peer. */
function rule(cell: Cell, flow: Flow, other: Inside | Outside): Rule | undefined {
  const peers = peersOf(cell, other);
  const ports = flow.port === undefined ? portsOf(cell, flow.to) : [flow.port];
  return peers.length === 0 || ports.length === 0 ? undefined : { peers, ports };
}

function podsOf(party: Inside): Record<string, unknown> {
  const key = isSliceName(party) ? LABELS.slice(party) : LABELS.component;
  return { matchLabels: { [key]: isSliceName(party) ? "" : party } };
}

function peersOf(cell: Cell, party: Inside | Outside): Peer[] {
  const { settings, spec } = cell;
  switch (party) {
    case "gateway":
      return [componentIn(settings.gatewayNamespace, "gateway")];
    case "operator":
      return [componentIn(settings.namespace, "operator")];
    case "monitoring":
      return [{ namespaceSelector: { matchExpressions: [{ key: LABELS.monitoring, operator: "Exists" }] } }];
    case "processor":
      return settings.processor.namespace === undefined
        ? []
        : [componentIn(settings.processor.namespace, "psp-sandbox")];
    case "internet":
      return [
        { ipBlock: { cidr: "0.0.0.0/0", except: [...PRIVATE_RANGES.v4] } },
        { ipBlock: { cidr: "::/0", except: [...PRIVATE_RANGES.v6] } },
      ];
    case "kafka":
    case "telemetry":
      // Brokers and collectors are given by name and may live anywhere; the port is what can be held. Pods are named besides:
      // not every network plugin takes their addresses for part of a range.
      return [{ namespaceSelector: {} }, { ipBlock: { cidr: "0.0.0.0/0" } }, { ipBlock: { cidr: "::/0" } }];
    case "external-database":
      return spec.database.external === undefined ? [] : [{ ipBlock: { cidr: spec.database.external.cidr } }];
    case "other-cells":
      return [{ namespaceSelector: otherCells(cell) }];
    case "database":
      return spec.database.external === undefined ? [{ podSelector: podsOf(party) }] : [];
    default:
      return [{ podSelector: podsOf(party) }];
  }
}

function portsOf(cell: Cell, party: Inside | Outside): number[] {
  const { settings, spec } = cell;
  switch (party) {
    case "database":
      return [DATABASE_PORTS[spec.database.engine]];
    case "external-database":
      return spec.database.external === undefined ? [] : [spec.database.external.port];
    case "kafka":
      return uniquePorts(kafkaBrokers(cell).split(","));
    case "processor":
      return [urlPort(settings.processor.url)];
    case "other-cells":
      return [...CELL_PORTS];
    case "telemetry":
      return settings.otlpEndpoint === undefined ? [] : [urlPort(settings.otlpEndpoint)];
    default:
      throw new Error(`traffic.ts lists a flow to ${party} without a port`);
  }
}

function otherCells({ name }: Cell): Record<string, unknown> {
  return {
    matchLabels: { [LABELS.managedBy]: MANAGER },
    matchExpressions: [{ key: LABELS.center, operator: "NotIn", values: [name] }],
  };
}

function componentIn(namespace: string, component: string): Peer {
  return {
    namespaceSelector: { matchLabels: { [NAMESPACE_NAME]: namespace } },
    podSelector: { matchLabels: { [LABELS.component]: component } },
  };
}

function uniquePorts(addresses: readonly string[]): number[] {
  return [...new Set(addresses.map((address) => Number(address.slice(address.lastIndexOf(":") + 1))))].sort(
    (a, b) => a - b,
  );
}

function urlPort(url: string): number {
  const { port, protocol } = new URL(url);
  return port === "" ? (protocol === "https:" ? 443 : 80) : Number(port);
}

/** Over UDP and, for long answers, TCP; the link-local address is where a node-local cache listens. */
function dnsRule() {
  return {
    to: [
      { namespaceSelector: { matchLabels: { [NAMESPACE_NAME]: "kube-system" } } },
      { ipBlock: { cidr: "169.254.20.10/32" } },
    ],
    ports: [
      { protocol: "UDP", port: 53 },
      { protocol: "TCP", port: 53 },
    ],
  };
}

function tcp(ports: readonly number[]) {
  return ports.map((port) => ({ protocol: "TCP", port }));
}

function policy(
  cell: Cell,
  name: string,
  podSelector: Record<string, unknown>,
  spec: Record<string, unknown>,
): KubeObject {
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: metadata(cell, name),
    spec: { podSelector, ...spec },
  };
}
