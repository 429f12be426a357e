import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CLUSTER_DOMAIN, DNS_SERVICE_ADDRESS, type Layout, POD_RANGE, SERVICE_RANGE } from "./layout.ts";

/** The kubelet's configuration for one cluster. */
export function kubeletConfig(layout: Layout): object {
  const cert = (file: string): string => join(layout.certsDir, file);
  return {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    address: layout.nodeAddress,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true, cacheTTL: "2m0s" },
      x509: { clientCAFile: cert("ca.crt") },
    },
    authorization: { mode: "Webhook" },
    tlsCertFile: cert("kubelet-server.crt"),
    tlsPrivateKeyFile: cert("kubelet-server.key"),
    healthzBindAddress: "127.0.0.1",
    cgroupDriver: "cgroupfs",
    cgroupRoot: `/${layout.cgroup}`,
    failCgroupV1: false,
    failSwapOn: false,
    containerRuntimeEndpoint: `unix://${layout.containerdSocket}`,
    clusterDomain: CLUSTER_DOMAIN,
    clusterDNS: [DNS_SERVICE_ADDRESS],
    // The machine's own name servers can not be reached from inside.
    resolvConf: "",
    volumePluginDir: join(layout.dataDir, "volume-plugins"),
    maxPods: 200,
    serializeImagePulls: false,
    // Every image is imported by hand: one that is collected would not come back.
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
    // A developer's disk is often nearly full, and that is no reason to end pods.
    evictionHard: {
      "memory.available": "100Mi",
      "nodefs.available": "1%",
      "nodefs.inodesFree": "1%",
      "imagefs.available": "1%",
      "imagefs.inodesFree": "1%",
    },
    containerLogMaxSize: "10Mi",
    containerLogMaxFiles: 2,
    enableProfilingHandler: false,
    shutdownGracePeriod: "0s",
  };
}

/** Writes the kubelet's configuration. @returns the words that start it */
export function prepareKubelet(layout: Layout, kubernetes: string): string[] {
  const root = join(layout.dataDir, "kubelet");
  mkdirSync(root, { recursive: true });
  mkdirSync(layout.volumesDir, { recursive: true });
  const file = join(layout.dataDir, "kubelet.json");
  writeFileSync(file, JSON.stringify(kubeletConfig(layout), null, 2));
  return [
    kubernetes,
    "kubelet",
    `--config=${file}`,
    `--kubeconfig=${join(layout.certsDir, "kubelet.kubeconfig")}`,
    `--root-dir=${root}`,
    `--cert-dir=${join(root, "pki")}`,
    `--hostname-override=${layout.nodeName}`,
    `--node-ip=${layout.nodeAddress}`,
  ];
}

/** The words that start kube-proxy, which turns services into packet filter rules of the namespace. */
export function kubeProxyArgv(layout: Layout, kubernetes: string): string[] {
  return [
    kubernetes,
    "kube-proxy",
    `--kubeconfig=${join(layout.certsDir, "kube-proxy.kubeconfig")}`,
    `--hostname-override=${layout.nodeName}`,
    "--proxy-mode=iptables",
    `--cluster-cidr=${POD_RANGE}`,
    `--bind-address=${layout.nodeAddress}`,
    "--metrics-bind-address=127.0.0.1:10249",
    "--healthz-bind-address=127.0.0.1:10256",
    "--iptables-min-sync-period=200ms",
    "--iptables-localhost-nodeports=false",
    // These settings can not be written from inside a network namespace.
    "--conntrack-max-per-core=0",
    "--conntrack-tcp-timeout-established=0",
    "--conntrack-tcp-timeout-close-wait=0",
  ];
}

/** The words that start the program which filters packets between pods as NetworkPolicies say. */
export function netpolicyArgv(layout: Layout, netpolicy: string): string[] {
  const kubeconfig = join(layout.certsDir, "netpolicy.kubeconfig");
  return [netpolicy, "-kubeconfig", kubeconfig, "-pod-range", POD_RANGE, "-service-range", SERVICE_RANGE];
}

/** The words that start the program which makes a folder for each volume claim. */
export function provisionerArgv(layout: Layout, kubernetes: string): string[] {
  const kubeconfig = join(layout.certsDir, "provisioner.kubeconfig");
  return [
    ...[kubernetes, "local-provisioner", "--kubeconfig", kubeconfig],
    ...["--dir", layout.volumesDir, "--node", layout.nodeName],
  ];
}
