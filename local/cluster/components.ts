import { join } from "node:path";
import { API_SERVICE_ADDRESS, POD_RANGE, SERVICE_RANGE } from "./layout.ts";

/** What the parts of a control plane need to know of each other. */
export interface ControlPlane {
  /** The multi-call executable. */
  readonly kubernetes: string;
  readonly certsDir: string;
  readonly etcdDir: string;
  readonly etcdPort: number;
  readonly etcdPeerPort: number;
  /** Address on which the API server answers. */
  readonly address: string;
  readonly apiPort: number;
  /** False when nothing runs beside it: then nobody makes service accounts, and the address is not announced. */
  readonly withControllers: boolean;
  /** True when pods can reach the API server: it announces its address as the service `kubernetes`. */
  readonly announced: boolean;
  readonly audit?: { readonly policyPath: string; readonly logPath: string };
  /** True when thousands of objects are made at once: nothing but the machine shall be the limit. */
  readonly forLoad?: boolean;
  /** More flags for the API server. */
  readonly flags?: readonly string[];
}

const SERVICE_ACCOUNT_ISSUER = "https://kubernetes.default.svc.cluster.local";

/** Requests per second to the API server. With the default of 20 the controllers need 4 s for their first lists alone. */
function clientRate(plane: ControlPlane): string[] {
  return plane.forLoad
    ? ["--kube-api-qps=2000", "--kube-api-burst=4000"]
    : ["--kube-api-qps=300", "--kube-api-burst=600"];
}

/** Which requests the API server writes down: who did what to which object, without the objects themselves. */
export const AUDIT_POLICY = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: None
    nonResourceURLs: ["/healthz*", "/readyz*", "/livez*", "/version", "/openapi/*", "/metrics"]
  - level: Metadata
`;

/** The database. It may lose the last seconds in a power cut: a local cluster is made anew, not restored. */
export function etcdArgv(plane: ControlPlane): string[] {
  const cert = (file: string): string => join(plane.certsDir, file);
  const client = `https://127.0.0.1:${plane.etcdPort}`;
  const peer = `http://127.0.0.1:${plane.etcdPeerPort}`;
  return [
    plane.kubernetes,
    "etcd",
    "--name=local",
    `--data-dir=${plane.etcdDir}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=local=${peer}`,
    `--cert-file=${cert("etcd.crt")}`,
    `--key-file=${cert("etcd.key")}`,
    `--trusted-ca-file=${cert("etcd-ca.crt")}`,
    "--client-cert-auth",
    "--unsafe-no-fsync",
    "--auto-compaction-mode=periodic",
    "--auto-compaction-retention=5m",
    "--quota-backend-bytes=4294967296",
    "--log-level=warn",
  ];
}

/** The API server, with Kubernetes' default admission plugins, Pod Security and admission policies among them. */
export function apiServerArgv(plane: ControlPlane): string[] {
  const cert = (file: string): string => join(plane.certsDir, file);
  return [
    plane.kubernetes,
    "kube-apiserver",
    `--bind-address=${plane.address}`,
    `--advertise-address=${plane.address}`,
    `--secure-port=${plane.apiPort}`,
    ...(plane.announced ? [] : ["--endpoint-reconciler-type=none"]),
    `--etcd-servers=https://127.0.0.1:${plane.etcdPort}`,
    `--etcd-cafile=${cert("etcd-ca.crt")}`,
    `--etcd-certfile=${cert("etcd.crt")}`,
    `--etcd-keyfile=${cert("etcd.key")}`,
    `--tls-cert-file=${cert("apiserver.crt")}`,
    `--tls-private-key-file=${cert("apiserver.key")}`,
    `--client-ca-file=${cert("ca.crt")}`,
    `--kubelet-certificate-authority=${cert("ca.crt")}`,
    `--kubelet-client-certificate=${cert("apiserver-kubelet.crt")}`,
    `--kubelet-client-key=${cert("apiserver-kubelet.key")}`,
    "--kubelet-preferred-address-types=InternalIP",
    `--requestheader-client-ca-file=${cert("front-proxy-ca.crt")}`,
    "--requestheader-allowed-names=front-proxy",
    "--requestheader-username-headers=X-Remote-User",
    "--requestheader-group-headers=X-Remote-Group",
    "--requestheader-extra-headers-prefix=X-Remote-Extra-",
    `--proxy-client-cert-file=${cert("front-proxy.crt")}`,
    `--proxy-client-key-file=${cert("front-proxy.key")}`,
    `--service-account-issuer=${SERVICE_ACCOUNT_ISSUER}`,
    `--service-account-key-file=${cert("service-account.pub")}`,
    `--service-account-signing-key-file=${cert("service-account.key")}`,
    `--service-cluster-ip-range=${SERVICE_RANGE}`,
    "--authorization-mode=Node,RBAC",
    plane.withControllers
      ? "--enable-admission-plugins=NodeRestriction"
      : "--disable-admission-plugins=ServiceAccount",
    "--allow-privileged",
    "--profiling=false",
    ...(plane.forLoad ? ["--max-requests-inflight=800", "--max-mutating-requests-inflight=400"] : []),
    ...auditFlags(plane),
    ...(plane.flags ?? []),
  ];
}

function auditFlags(plane: ControlPlane): string[] {
  if (plane.audit === undefined) return [];
  return [
    `--audit-policy-file=${plane.audit.policyPath}`,
    `--audit-log-path=${plane.audit.logPath}`,
    // Under load one file, so that whoever counts requests reads them all.
    `--audit-log-maxsize=${plane.forLoad ? 4000 : 100}`,
    "--audit-log-maxbackup=2",
  ];
}

/** The controllers: deployments, jobs, garbage collection, namespaces, volumes, service accounts. */
export function controllerManagerArgv(plane: ControlPlane, port: number): string[] {
  const cert = (file: string): string => join(plane.certsDir, file);
  return [
    plane.kubernetes,
    "kube-controller-manager",
    `--kubeconfig=${cert("controller-manager.kubeconfig")}`,
    `--root-ca-file=${cert("ca.crt")}`,
    `--service-account-private-key-file=${cert("service-account.key")}`,
    `--cluster-signing-cert-file=${cert("ca.crt")}`,
    `--cluster-signing-key-file=${cert("ca.key")}`,
    "--use-service-account-credentials",
    "--bind-address=127.0.0.1",
    `--secure-port=${port}`,
    // One process of each: an election would only delay the start and write to the API server all day.
    "--leader-elect=false",
    ...clientRate(plane),
    `--cluster-cidr=${POD_RANGE}`,
    `--service-cluster-ip-range=${SERVICE_RANGE}`,
    // A machine with two busy cores may be silent for a while without being dead.
    "--node-monitor-grace-period=90s",
    // How soon a new node loses the mark that keeps pods away.
    "--node-monitor-period=1s",
    "--profiling=false",
  ];
}

/** Chooses the node, also where there is only one: it counts what the node still has room for. */
export function schedulerArgv(plane: ControlPlane, port: number): string[] {
  return [
    plane.kubernetes,
    "kube-scheduler",
    `--kubeconfig=${join(plane.certsDir, "scheduler.kubeconfig")}`,
    "--bind-address=127.0.0.1",
    `--secure-port=${port}`,
    "--leader-elect=false",
    ...clientRate(plane),
    "--profiling=false",
  ];
}

/** Addresses that the API server's certificate must hold. */
export function serverAddresses(address: string): string[] {
  return [...new Set([address, "127.0.0.1", API_SERVICE_ADDRESS])];
}
