import * as z from "zod";
import type { Condition } from "../../platform/kube/objects.ts";
import { listKeyedBy } from "./fields.ts";

const conditionSchema = z.object({
  type: z.string().min(1).max(64).describe("What is judged, for example Ready or DatabaseReady"),
  status: z.enum(["True", "False", "Unknown"]).describe("Whether it holds"),
  reason: z.string().min(1).max(64).describe("Why, in one word for programs"),
  message: z.string().max(1024).describe("Why, in a sentence that names the next action"),
  observedGeneration: z.int().min(0).optional().describe("Generation of the spec that was judged"),
  lastTransitionTime: z
    .string()
    .max(32)
    .meta({ format: "date-time", description: "When the status last changed" }),
});

const epoch = (description: string) => z.int().min(0).optional().meta({ description });

/** Only what changes when the cell changes: no timestamp and no rate of a single pass. */
export const statusSchema = z
  .object({
    observedGeneration: z
      .int()
      .min(-1)
      .optional()
      .describe("Generation of the spec that this status is about; -1 before the operator has looked"),
    phase: z
      .string()
      .max(32)
      .optional()
      .meta({ description: "One word for people; programs read conditions" }),
    conditions: z
      .array(conditionSchema)
      .max(24)
      .optional()
      .meta({ description: "How the cell does, one entry for each aspect", ...listKeyedBy("type") }),
    namespace: z.string().max(63).optional().describe("Namespace of the cell"),
    namespaceUid: z.string().max(64).optional().describe("The namespace that holds the cell's data"),
    lostNamespaceUid: z
      .string()
      .max(64)
      .optional()
      .meta({ description: "Namespace that vanished with its data; kept until the loss is acknowledged" }),
    endpoint: z.string().max(256).optional().meta({ description: "Where the orders service answers" }),
    epoch: epoch("Number that every write of this cell carries; older ones are refused"),
    fencedEpoch: epoch("Number that shut the cell's writers out, while the center is fenced"),
    admittedEpoch: epoch("Epoch in which the cell was first available: from then on it may take orders"),
    credentials: z
      .object({
        generation: z.int().min(0).describe("Credentials that are wanted; grows with each rotation"),
        serving: z.int().min(0).describe("Credentials that every service uses"),
        settled: z.int().min(0).describe("Oldest credentials that still let anybody in"),
        request: z.string().max(256).optional().describe("Value of the annotation that asked for them"),
      })
      .optional()
      .meta({ description: "How far a change of passwords and keys is; absent until the first one" }),
    provisionedHash: z
      .string()
      .max(64)
      .optional()
      .meta({ description: "Inputs that schema and topics were made from" }),
    release: z
      .object({
        current: z.string().max(512).optional().describe("Image that every service runs"),
        previous: z.string().max(512).optional().describe("Image that ran before it"),
      })
      .optional()
      .describe("What the cell runs, once it is rolled out"),
    services: z
      .array(
        z.object({
          name: z.string().max(63).describe("Name of the Deployment"),
          replicas: z.int().describe("Pods that are wanted"),
          ready: z.int().describe("Pods that serve"),
          image: z.string().max(512).optional().describe("Image that its pods run or are being rolled to"),
        }),
      )
      .max(16)
      .optional()
      .meta({ description: "Pods of each Deployment of the cell", ...listKeyedBy("name") }),
    blockers: z
      .array(
        z.object({
          kind: z.string().max(63).describe("Kind of the object"),
          name: z.string().max(253).describe("Name of the object"),
          reason: z.string().max(256).describe("What keeps it from going on"),
        }),
      )
      .max(16)
      .optional()
      .meta({ description: "Objects that the cell waits for" }),
  })
  .meta({
    description: "What the operator last saw of the cell",
    // Without it a center that nobody has looked at yet would count as done for tools that wait by kstatus.
    default: { observedGeneration: -1 },
  });

export type FulfillmentCenterStatus = Omit<z.output<typeof statusSchema>, "conditions"> & {
  conditions?: Condition[];
};
export type Blocker = NonNullable<FulfillmentCenterStatus["blockers"]>[number];
