import type { KubeObject } from "./api.ts";
import { CLUSTER_DOMAIN, DNS_SERVICE_ADDRESS } from "./layout.ts";

const DNS_LABELS = { "k8s-app": "kube-dns" };
const DNS_NAME = { name: "coredns", namespace: "kube-system" };

/**
 * Names outside the cluster do not exist: said at once, or a client would ask again and again for seconds. That
 * answer has a block of its own, because CoreDNS asks `template` before `kubernetes` whatever their order here.
 */
const COREFILE = `${CLUSTER_DOMAIN}:53 in-addr.arpa:53 ip6.arpa:53 {
    errors
    health :8080 {
        lameduck 1s
    }
    ready :8181
    kubernetes {
        pods insecure
        ttl 5
    }
    cache 5
    reload
}
.:53 {
    errors
    template ANY ANY {
        rcode NXDOMAIN
    }
}
`;

/** The storage class that claims get by default; `local-provisioner` makes its volumes. */
export function storageObjects(): KubeObject[] {
  const subjects = [{ kind: "User", name: "local-provisioner", apiGroup: "rbac.authorization.k8s.io" }];
  return [
    {
      apiVersion: "storage.k8s.io/v1",
      kind: "StorageClass",
      metadata: { name: "local", annotations: { "storageclass.kubernetes.io/is-default-class": "true" } },
      provisioner: "fulfillment.io/local",
      reclaimPolicy: "Delete",
      volumeBindingMode: "Immediate",
    },
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRoleBinding",
      metadata: { name: "local-provisioner" },
      roleRef: {
        apiGroup: "rbac.authorization.k8s.io",
        kind: "ClusterRole",
        name: "system:persistent-volume-provisioner",
      },
      subjects,
    },
  ];
}

/** What the program that enforces NetworkPolicies may read. */
export function netpolicyRights(): KubeObject[] {
  const verbs = ["list", "watch"];
  return [
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRole",
      metadata: { name: "local-netpolicy" },
      rules: [
        { apiGroups: [""], resources: ["pods", "namespaces"], verbs },
        { apiGroups: ["networking.k8s.io"], resources: ["networkpolicies"], verbs },
      ],
    },
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRoleBinding",
      metadata: { name: "local-netpolicy" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "local-netpolicy" },
      subjects: [{ kind: "User", name: "local-netpolicy", apiGroup: "rbac.authorization.k8s.io" }],
    },
  ];
}

/** Cluster DNS: a CoreDNS that runs as any other pod, so that policies about it can be tried. */
export function dnsObjects(image: string): KubeObject[] {
  return [
    { apiVersion: "v1", kind: "ServiceAccount", metadata: DNS_NAME },
    { apiVersion: "v1", kind: "ConfigMap", metadata: DNS_NAME, data: { Corefile: COREFILE } },
    ...dnsRights(),
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "kube-dns", namespace: "kube-system", labels: DNS_LABELS },
      spec: {
        selector: DNS_LABELS,
        clusterIP: DNS_SERVICE_ADDRESS,
        ports: [
          { name: "dns", port: 53, protocol: "UDP", targetPort: 53 },
          { name: "dns-tcp", port: 53, protocol: "TCP", targetPort: 53 },
        ],
      },
    },
    dnsDeployment(image),
  ];
}

function dnsRights(): KubeObject[] {
  const verbs = ["list", "watch"];
  return [
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRole",
      metadata: { name: "system:coredns" },
      rules: [
        { apiGroups: [""], resources: ["services", "pods", "namespaces"], verbs },
        { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs },
      ],
    },
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRoleBinding",
      metadata: { name: "system:coredns" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "system:coredns" },
      subjects: [{ kind: "ServiceAccount", ...DNS_NAME }],
    },
  ];
}

function dnsDeployment(image: string): KubeObject {
  const container = {
    name: "coredns",
    image,
    imagePullPolicy: "Never",
    args: ["-conf", "/etc/coredns/Corefile"],
    ports: [
      { name: "dns", containerPort: 53, protocol: "UDP" },
      { name: "dns-tcp", containerPort: 53, protocol: "TCP" },
    ],
    resources: { requests: { cpu: "20m", memory: "32Mi" }, limits: { memory: "170Mi" } },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    },
    livenessProbe: { httpGet: { path: "/health", port: 8080 }, periodSeconds: 10, failureThreshold: 6 },
    readinessProbe: { httpGet: { path: "/ready", port: 8181 }, periodSeconds: 2 },
    volumeMounts: [{ name: "config", mountPath: "/etc/coredns", readOnly: true }],
  };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { ...DNS_NAME, labels: DNS_LABELS },
    spec: {
      replicas: 1,
      selector: { matchLabels: DNS_LABELS },
      template: {
        metadata: { labels: DNS_LABELS },
        spec: {
          serviceAccountName: "coredns",
          priorityClassName: "system-cluster-critical",
          dnsPolicy: "Default",
          securityContext: {
            runAsNonRoot: true,
            seccompProfile: { type: "RuntimeDefault" },
            // Port 53 without being root. The pod has to listen on it: network policies name the pod's port.
            sysctls: [{ name: "net.ipv4.ip_unprivileged_port_start", value: "53" }],
          },
          containers: [container],
          volumes: [{ name: "config", configMap: { name: "coredns" } }],
        },
      },
    },
  };
}
