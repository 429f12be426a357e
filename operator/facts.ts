import type { KubeObject } from "../platform/kube/objects.ts";
import type { Blocker } from "./api/fulfillment-center-status.ts";
import type { Cell } from "./build/cell.ts";
import type { Epochs } from "./epoch.ts";
import type { Isolation } from "./isolation.ts";
import type { Ownership } from "./ownership.ts";
import type { RolloutPlan } from "./rollout.ts";
import type { Credentials, RotationFacts } from "./rotation.ts";
import type { Stuck } from "./stuck.ts";
import type { JobOutcome } from "./workloads.ts";

/** What a pass that builds the cell has decided; status.ts words it. */
export interface Facts {
  readonly cell: Cell;
  readonly epochs: Epochs;
  /** Desired objects up to the database's schema. */
  readonly base: readonly KubeObject[];
  readonly deployments: readonly KubeObject[];
  readonly rollout: RolloutPlan;
  readonly provisionJob: string;
  readonly provision: JobOutcome;
  /** Whether the provision Job may run. */
  readonly databaseUp: boolean;
  /** Set once schema and topics are as the desired cell needs them. */
  readonly provisionedHash: string | undefined;
  /** The Job that shuts the writers out; absent unless the center is fenced. */
  readonly fence: JobOutcome | undefined;
  readonly isolation: Isolation;
  /** Identities of held objects, sorted. */
  readonly held: readonly string[];
  /** Where a change of credentials is after this pass. */
  readonly credentials: Credentials;
  readonly rotation: RotationFacts;
}

/** How a pass went: it builds the cell, or there is one reason why it may not. */
export type Situation =
  | { readonly kind: "building"; readonly facts: Facts; readonly lostNamespace: string | undefined }
  | {
      readonly kind: "blocked";
      readonly ownership: Ownership;
      readonly lostNamespace: string | undefined;
      /** What keeps an old namespace from being gone. */
      readonly stuck: Stuck | undefined;
    }
  | { readonly kind: "invalid"; readonly message: string }
  | { readonly kind: "paused"; readonly lostNamespace: string | undefined }
  /** The cell is left as it is until a person has acted. */
  | {
      readonly kind: "halted";
      readonly reason: string;
      readonly message: string;
      readonly lostNamespace: string | undefined;
    }
  | {
      readonly kind: "deleting";
      readonly reason: string;
      readonly message: string;
      readonly stalled: boolean;
      readonly blockers: readonly Blocker[];
    };
