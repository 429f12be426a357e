import * as z from "zod";
import type { Condition } from "../../platform/kube/objects.ts";
import { listKeyedBy } from "./fields.ts";

const conditionSchema = z.object({
  type: z.string().min(1).max(64),
  status: z.enum(["True", "False", "Unknown"]),
  reason: z.string().min(1).max(64),
  message: z.string().max(1024),
  observedGeneration: z.int().min(0).optional(),
  lastTransitionTime: z.string().max(32).meta({ format: "date-time" }),
});

const epoch = (description: string) => z.int().min(0).optional().meta({ description });

/** Only what changes when the cell changes: no timestamp and no rate of a single pass. */
export const statusSchema = z.object({
  observedGeneration: z.int().min(0).optional(),
  phase: z.string().max(32).optional().meta({ description: "One word for people; programs read conditions" }),
  conditions: z.array(conditionSchema).max(24).optional().meta(listKeyedBy("type")),
  namespace: z.string().max(63).optional(),
  namespaceUid: z.string().max(64).optional(),
  lostNamespaceUid: z
    .string()
    .max(64)
    .optional()
    .meta({ description: "Namespace that vanished with its data; kept until the loss is acknowledged" }),
  endpoint: z.string().max(256).optional().meta({ description: "Where the orders service answers" }),
  epoch: epoch("Number that every write of this cell carries; older ones are refused"),
  fencedEpoch: epoch("Number that shut the cell's writers out, while the center is fenced"),
  admittedEpoch: epoch("Epoch in which the cell was first available: from then on it may take orders"),
  provisionedHash: z
    .string()
    .max(64)
    .optional()
    .meta({ description: "Inputs that schema and topics were made from" }),
  release: z
    .object({ current: z.string().max(512).optional(), previous: z.string().max(512).optional() })
    .optional(),
  services: z
    .array(z.object({ name: z.string().max(63), replicas: z.int(), ready: z.int() }))
    .max(16)
    .optional()
    .meta(listKeyedBy("name")),
  blockers: z
    .array(z.object({ kind: z.string().max(63), name: z.string().max(253), reason: z.string().max(256) }))
    .max(16)
    .optional()
    .meta({ description: "Objects that the cell waits for" }),
});

export type FulfillmentCenterStatus = Omit<z.output<typeof statusSchema>, "conditions"> & {
  conditions?: Condition[];
};
export type Blocker = NonNullable<FulfillmentCenterStatus["blockers"]>[number];
