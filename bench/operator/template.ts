import { specSchema } from "../../operator/api/fulfillment-center.ts";
import { ANNOTATIONS, API_VERSION, FINALIZER } from "../../operator/api/names.ts";
import type { OperatorSettings } from "../../operator/api/settings.ts";
import { NEIGHBOURS } from "../../operator/neighbours.ts";
import { createWorld } from "../../operator/testing/world.ts";
import type { KubeObject } from "../../platform/kube/objects.ts";
import { generateKey } from "../../platform/trust.ts";
import { centerNames, centerSpec } from "./centers.ts";

/**
 * The children that our operator makes for one center, as a file for the peer. Name, uid, epoch and hash are words that
 * occur nowhere else, so that the peer can replace them in the text.
 */
export interface Template {
  readonly name: string;
  readonly uid: string;
  readonly epoch: string;
  readonly jobHash: string;
  /** The image that a center's spec may replace. */
  readonly image: string;
  /** Everything that may exist before the database's schema does, in the order of writing. */
  readonly base: readonly KubeObject[];
  readonly jobs: readonly KubeObject[];
  readonly deployments: readonly KubeObject[];
  /** What is made once the Deployments serve. */
  readonly probes: readonly KubeObject[];
}

const NAME = "template-center";
const UID = "7d1f0c52-0000-4000-8000-000000000001";

/** Lets the pure part of our operator bring one center to Ready, and keeps what it wanted at the end. */
export async function makeTemplate(settings: OperatorSettings): Promise<Template> {
  const cell = await generateKey();
  const gateway = await generateKey();
  const world = createWorld({
    apiVersion: API_VERSION,
    kind: "FulfillmentCenter",
    metadata: { name: NAME, uid: UID, generation: 1, resourceVersion: "1", finalizers: [FINALIZER] },
    spec: specSchema.parse(centerSpec("region-0", settings.images.cell)),
  });
  const seen = world.observed;
  world.observed = () => ({
    ...seen(),
    cellKey: { privateJwk: { ...cell.privateJwk }, publicJwk: { ...cell.publicJwk } },
    gatewayKeys: [{ ...gateway.publicJwk }],
    neighbours: centerNames("center", NEIGHBOURS).map((name) => ({ name, database: true })),
  });
  const settle = () => {
    for (let pass = 0; pass < 4; pass++) world.pass(settings);
  };
  settle();
  world.readyWorkloads();
  settle();
  world.endJob("provision", JSON.stringify({ ok: true, epoch: world.fc.status?.epoch, schema: "bench" }));
  settle();
  world.readyWorkloads();
  settle();
  const objects = world.plan(settings).objects.map(marked);
  const [job, ...probes] = objects.filter(({ kind }) => kind === "Job");
  if (job === undefined || probes.length !== 1 || world.fc.status?.epoch === undefined)
    throw new Error("the template's center did not get as far as its probe");
  const early = new Set(["Job", "Deployment"]);
  return {
    name: NAME,
    uid: UID,
    epoch: String(world.fc.status.epoch),
    image: settings.images.cell,
    jobHash: job.metadata.name.slice("provision-".length),
    base: objects.filter(({ kind }) => !early.has(kind)),
    jobs: [job],
    deployments: objects.filter(({ kind }) => kind === "Deployment"),
    probes,
  };
}

/** Our operator marks each object with a hash of this length: the peer's shall be as large. */
function marked(object: KubeObject): KubeObject {
  const { metadata } = object;
  const annotations = { ...metadata.annotations, [ANNOTATIONS.applied]: "0123456789abcdefghijkl" };
  return { ...object, metadata: { ...metadata, annotations } };
}
