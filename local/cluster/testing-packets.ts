import type { Cluster } from "./cluster.ts";
import { eventually, kubectl } from "./testing.ts";

/** Two namespaces with pods that call each other: red/server is called by red/friend and blue/stranger. */
export const CALLERS = ["red/friend", "blue/stranger"] as const;
export type Caller = (typeof CALLERS)[number];

const PORT = 8080;
const POLICY = "under-test";

/** Makes the pods and waits until each answers the kubelet. */
export async function deployCallers(cluster: Cluster, image: string): Promise<void> {
  const items = [
    ...["red", "blue"].map((name) => ({
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name, labels: { team: name } },
    })),
    ...["red/server", ...CALLERS].map((path) => callerPod(path, image)),
  ];
  await kubectl(cluster, ["apply", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items }));
  for (const space of ["red", "blue"])
    await kubectl(cluster, ["-n", space, "wait", "--for=condition=Ready", "pods", "--all", "--timeout=90s"]);
}

export function callerPod(path: string, image: string): object {
  const [namespace, name] = path.split("/");
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, labels: { app: name } },
    spec: {
      terminationGracePeriodSeconds: 1,
      automountServiceAccountToken: false,
      containers: [
        {
          name: "probe",
          image,
          imagePullPolicy: "Never",
          ports: [{ name: "http", containerPort: PORT }],
          readinessProbe: { httpGet: { path: "/name", port: PORT }, periodSeconds: 1 },
          resources: { limits: { memory: "64Mi" } },
        },
      ],
    },
  };
}

/** Replaces the policy under test; undefined removes it. */
export async function setPolicy(cluster: Cluster, spec: object | undefined, name = POLICY): Promise<void> {
  const metadata = { name, namespace: "red" };
  const policy = { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata, spec };
  if (spec === undefined)
    await kubectl(cluster, ["-n", "red", "delete", "networkpolicy", name, "--ignore-not-found"]);
  else await kubectl(cluster, ["apply", "-f", "-"], JSON.stringify(policy));
}

/** Has a pod ask for something. The question goes from the node to the pod, which no policy concerns. */
export async function askPod(cluster: Cluster, pod: string, path: string): Promise<string> {
  const [namespace, name] = pod.split("/");
  return kubectl(cluster, [
    "get",
    "--raw",
    `/api/v1/namespaces/${namespace}/pods/${name}:${PORT}/proxy${path}`,
  ]);
}

export function addressOf(cluster: Cluster, pod: string): Promise<string> {
  const [namespace, name = ""] = pod.split("/");
  return kubectl(cluster, ["-n", namespace ?? "", "get", "pod", name, "-o", "jsonpath={.status.podIP}"]);
}

/** Which of the callers get an answer from red/server. */
export async function whoReaches(cluster: Cluster, server: string): Promise<Caller[]> {
  const answers = await Promise.all(
    CALLERS.map((caller) =>
      askPod(cluster, caller, `/fetch?bound=700ms&url=http://${server}:${PORT}/name`).then(
        () => caller,
        () => undefined,
      ),
    ),
  );
  return answers.filter((caller) => caller !== undefined);
}

/** Waits until exactly these callers get through: rules follow a policy after a moment. */
export async function expectReach(
  cluster: Cluster,
  server: string,
  expected: readonly Caller[],
): Promise<void> {
  await eventually(async () => {
    const found = await whoReaches(cluster, server);
    if (found.join() !== expected.join())
      throw new Error(
        `reached by ${found.join(" and ") || "nobody"}, not by ${expected.join(" and ") || "nobody"}`,
      );
  }, 30_000);
}
