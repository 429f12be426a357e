import { once } from "node:events";
import { readdirSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Cluster, startCluster } from "./cluster.ts";
import { startComponent, stopComponent } from "./component.ts";
import { stopCluster } from "./down.ts";
import { layoutOf } from "./layout.ts";
import { silentReport } from "./report.ts";
import { readState } from "./state.ts";
import { ask, deployProbe, eventually, kubectl, PROBE_NAMESPACE, probeImage } from "./testing.ts";
import {
  addressOf,
  askPod,
  CALLERS,
  callerPod,
  deployCallers,
  expectReach,
  setPolicy,
  whoReaches,
} from "./testing-packets.ts";

const INDEX = 2;
const report = silentReport();
let cluster: Cluster;
let image: string;

/** Addresses of the machine that the node has no route to. */
function otherAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const fours = all.filter((one) => one.family === "IPv4" && !one.internal).map((one) => one.address);
  return fours.filter((address) => address !== cluster.hostAddress);
}

beforeAll(async () => {
  await stopCluster(INDEX);
  const probe = await probeImage(report);
  image = probe.ref;
  cluster = await startCluster({ index: INDEX, report, images: [probe.archive] });
  await deployProbe(cluster, image);
});

afterAll(() => stopCluster(INDEX));

describe("a workload in the local cluster", () => {
  it("is spread by its service over both pods, also for callers from the machine", async () => {
    const names = new Set<string>();
    await eventually(async () => {
      names.add(await ask(cluster, "/name"));
      expect(names.size).toBe(2);
    });
    const pods = await kubectl(cluster, ["-n", PROBE_NAMESPACE, "get", "pods", "-o", "name"]);
    expect([...names].map((name) => `pod/${name}`).sort()).toEqual(pods.trim().split("\n").sort());
  });

  it("resolves services by name, and is told at once when a name does not exist", async () => {
    const address = await kubectl(cluster, [
      "-n",
      PROBE_NAMESPACE,
      "get",
      "service",
      "probe",
      "-o",
      "jsonpath={.spec.clusterIP}",
    ]);
    for (const name of ["probe", "probe.probe.svc", "probe.probe.svc.cluster.local"]) {
      expect(await ask(cluster, `/lookup?name=${name}`)).toBe(address);
    }
    await expect(ask(cluster, "/lookup?name=nowhere.probe.svc.cluster.local")).rejects.toThrow(
      "no such host",
    );
    await expect(ask(cluster, "/lookup?name=example.com")).rejects.toThrow("no such host");
  });

  it("reaches a service by name, its own included, and the API server", async () => {
    const pods = new Set<string>();
    await eventually(async () => {
      pods.add(await ask(cluster, "/fetch?url=http://probe.probe.svc/name"));
      expect(pods.size).toBe(2);
    });
    const refusal = await ask(cluster, "/fetch?url=https://kubernetes.default.svc/version").catch(String);
    expect(refusal).toContain("certificate signed by unknown authority");
  });

  it("reaches the machine over the link to it, and by no other way", async () => {
    const server = createServer((request, response) => response.end(request.socket.remoteAddress));
    server.listen(0, "0.0.0.0");
    await once(server, "listening");
    try {
      const { port } = server.address() as AddressInfo;
      expect(await ask(cluster, `/fetch?url=http://${cluster.hostAddress}:${port}/`)).toBe(
        cluster.nodeAddress,
      );
      for (const address of otherAddresses()) {
        await fetch(`http://${address}:${port}/`);
        await expect(ask(cluster, `/fetch?url=http://${address}:${port}/`)).rejects.toThrow("502");
      }
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });

  it("keeps its volume when its pods are replaced", async () => {
    await ask(cluster, "/files/note", { method: "PUT", body: "kept" });
    await kubectl(cluster, ["-n", PROBE_NAMESPACE, "delete", "pods", "-l", "app=probe", "--wait"]);
    await kubectl(cluster, ["-n", PROBE_NAMESPACE, "rollout", "status", "deployment/probe", "--timeout=90s"]);
    expect(await eventually(() => ask(cluster, "/files/note"))).toBe("kept");
  });

  it("shows its log and lets a program be run in it", async () => {
    expect(await kubectl(cluster, ["-n", PROBE_NAMESPACE, "logs", "deploy/probe"])).toContain(
      "listening on 8080",
    );
    const second = kubectl(cluster, ["-n", PROBE_NAMESPACE, "exec", "deploy/probe", "--", "/probe"]);
    await expect(second).rejects.toThrow("address already in use");
  });
});

describe("the rules of the cluster", () => {
  it("refuses a privileged pod where the namespace is restricted", async () => {
    const words = ["-n", PROBE_NAMESPACE, "run", "bad", `--image=${image}`, "--privileged"];
    await expect(kubectl(cluster, words)).rejects.toThrow("violates PodSecurity");
  });

  it("enforces admission policies written in CEL", async () => {
    const name = "no-forbidden";
    const rule = { apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["configmaps"] };
    const policy = {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingAdmissionPolicy",
      metadata: { name },
      spec: {
        matchConstraints: { resourceRules: [rule] },
        validations: [
          { expression: "!object.metadata.name.startsWith('forbidden')", message: "that name is refused" },
        ],
      },
    };
    const binding = {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingAdmissionPolicyBinding",
      metadata: { name },
      spec: { policyName: name, validationActions: ["Deny"] },
    };
    const list = { apiVersion: "v1", kind: "List", items: [policy, binding] };
    await kubectl(cluster, ["apply", "-f", "-"], JSON.stringify(list));
    let tries = 0;
    await eventually(async () => {
      tries += 1;
      const created = kubectl(cluster, ["create", "configmap", `forbidden-${tries}`]);
      await expect(created).rejects.toThrow("that name is refused");
    });
    await kubectl(cluster, ["create", "configmap", "allowed"]);
  });
});

describe("a network policy", () => {
  const labels = (app: string) => ({ matchLabels: { app } });
  const blue = { namespaceSelector: { matchLabels: { team: "blue" } } };
  const into = (from: readonly object[], ports?: readonly object[]) => ({
    ...{ podSelector: labels("server"), policyTypes: ["Ingress"] },
    ingress: [{ ...(from.length === 0 ? {} : { from }), ...(ports === undefined ? {} : { ports }) }],
  });
  const out = (...egress: object[]) => ({ podSelector: labels("friend"), policyTypes: ["Egress"], egress });
  const [friend, stranger] = CALLERS;
  let server: string;

  beforeAll(async () => {
    await deployCallers(cluster, image);
    server = await addressOf(cluster, "red/server");
    await expectReach(cluster, server, CALLERS);
  });

  it("that allows nothing lets nothing in, but the node's own probes", async () => {
    await setPolicy(cluster, { podSelector: {}, policyTypes: ["Ingress"] }, "deny");
    await expectReach(cluster, server, []);
    expect(await askPod(cluster, "red/server", "/name")).toBe("server");
  });

  it.each([
    ["pods of its namespace", into([{ podSelector: labels("friend") }]), [friend]],
    ["a namespace", into([blue]), [stranger]],
    ["pods of a namespace", into([{ ...blue, podSelector: labels("stranger") }]), [stranger]],
    ["pods that are not there", into([{ ...blue, podSelector: labels("friend") }]), []],
    ["all namespaces", into([{ namespaceSelector: {} }]), CALLERS],
    ["everybody", into([]), CALLERS],
    ["a port", into([], [{ port: 8080 }]), CALLERS],
    ["another port", into([], [{ port: 8081 }]), []],
    ["a range of ports", into([], [{ port: 8000, endPort: 8100 }]), CALLERS],
    ["a port by its name", into([{ podSelector: labels("friend") }], [{ port: "http" }]), [friend]],
    ["the port over UDP", into([], [{ port: 8080, protocol: "UDP" }]), []],
    ["all addresses", into([{ ipBlock: { cidr: "0.0.0.0/0" } }]), CALLERS],
    ["addresses of somewhere else", into([{ ipBlock: { cidr: "10.0.0.0/8" } }]), []],
  ])("that allows %s lets exactly that in", async (_what, spec, expected) => {
    await setPolicy(cluster, spec);
    await expectReach(cluster, server, expected);
  });

  it("leaves out what a block excepts", async () => {
    const except = [`${await addressOf(cluster, stranger)}/32`];
    await setPolicy(cluster, into([{ ipBlock: { cidr: "198.19.128.0/17", except } }]));
    await expectReach(cluster, server, [friend]);
  });

  it("holds what leaves a pod, names included", async () => {
    await setPolicy(cluster, undefined, "deny");
    await setPolicy(cluster, out());
    await expectReach(cluster, server, [stranger]);
    const lookup = "/lookup?bound=700ms&name=kube-dns.kube-system.svc.cluster.local";
    await expect(askPod(cluster, friend, lookup)).rejects.toThrow();
    const dns = { namespaceSelector: {}, podSelector: { matchLabels: { "k8s-app": "kube-dns" } } };
    await setPolicy(cluster, out({ to: [dns], ports: [{ port: 53, protocol: "UDP" }] }));
    await eventually(() => askPod(cluster, friend, lookup));
    await expectReach(cluster, server, [stranger]);
    await setPolicy(cluster, out({ to: [{ podSelector: labels("server") }], ports: [{ port: "http" }] }));
    await expectReach(cluster, server, CALLERS);
  });

  it("stays in force when what enforces it is gone, and a pod that is new then gets nothing", async () => {
    await setPolicy(cluster, into([blue]));
    await expectReach(cluster, server, [stranger]);
    await stopComponent(INDEX, "netpolicy");
    await setPolicy(cluster, undefined);
    await kubectl(cluster, ["apply", "-f", "-"], JSON.stringify(callerPod("blue/late", image)));
    await kubectl(cluster, ["-n", "blue", "wait", "--for=condition=Ready", "pod/late", "--timeout=90s"]);
    const late = `/fetch?bound=2s&url=http://${server}:8080/name`;
    await expect(askPod(cluster, "blue/late", late)).rejects.toThrow();
    expect(await whoReaches(cluster, server)).toEqual([stranger]);
    await startComponent(INDEX, "netpolicy");
    await expectReach(cluster, server, CALLERS);
    expect(await askPod(cluster, "blue/late", late)).toBe("server");
    await kubectl(cluster, ["delete", "namespace", "red", "blue", "--wait=false"]);
  });
});

describe("the cluster itself", () => {
  it("is attached to when it is up, with the same processes", async () => {
    const before = readState(layoutOf(INDEX).stateFile)?.processes;
    const again = await startCluster({ index: INDEX, report });
    expect(again.attached).toBe(true);
    expect(readState(layoutOf(INDEX).stateFile)?.processes).toEqual(before);
  });

  it("goes on serving while the API server is gone, and manages again when it is back", async () => {
    await stopComponent(INDEX, "kube-apiserver");
    await expect(kubectl(cluster, ["get", "nodes", "--request-timeout=2s"])).rejects.toThrow();
    expect(await ask(cluster, "/name")).toMatch(/^probe-/);
    expect(await ask(cluster, "/lookup?name=probe")).toMatch(/^198\.19\./);
    await startComponent(INDEX, "kube-apiserver");
    await kubectl(cluster, ["-n", PROBE_NAMESPACE, "scale", "deployment/probe", "--replicas=1"]);
    await kubectl(cluster, ["-n", PROBE_NAMESPACE, "rollout", "status", "deployment/probe", "--timeout=90s"]);
  });

  it("removes the folder of a volume with its claim", async () => {
    expect(readdirSync(layoutOf(INDEX).volumesDir)).toHaveLength(1);
    await kubectl(cluster, ["delete", "namespace", PROBE_NAMESPACE, "--timeout=60s"]);
    await eventually(async () => expect(readdirSync(layoutOf(INDEX).volumesDir)).toHaveLength(0));
  });
});
