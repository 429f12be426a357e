import { blockedPods } from "./blockers.ts";
import { cellImage } from "./build/cell.ts";
import { done, type StepState, stalled, trimmed, waiting } from "./errors.ts";
import type { Facts } from "./facts.ts";
import { isolatedStep } from "./isolation.ts";
import { find, identity, type Observed, podsOf } from "./observed.ts";
import { servicesReady } from "./services-ready.ts";
import { shortOf } from "./shortage.ts";
import { unboundClaim } from "./volumes.ts";
import { jobOutcome, podFailure, podsOfJob, rolloutOf } from "./workloads.ts";

/** State of each step towards a serving cell, by condition type. */
export interface Steps {
  readonly Provisioned: StepState;
  readonly DatabaseReady: StepState;
  readonly SchemaMigrated: StepState;
  readonly CacheReady: StepState;
  readonly TopicsReady: StepState;
  readonly ServicesReady: StepState;
  readonly Isolated: StepState;
}

/** Reads the steps of a cell off the objects that exist. `running` is the image that the whole cell ran last. */
export function stepsOf(facts: Facts, observed: Observed, running?: string): Steps {
  return {
    Provisioned: provisioned(facts, observed),
    DatabaseReady: databaseReady(facts, observed),
    SchemaMigrated: schemaMigrated(facts, observed, running),
    CacheReady: storeReady("cache", "cache", facts, observed),
    TopicsReady: topicsReady(facts),
    ServicesReady: servicesReady(facts, observed, running),
    Isolated: isolatedStep(facts.cell, facts.isolation),
  };
}

function provisioned(facts: Facts, observed: Observed): StepState {
  const present = new Set(observed.objects.map(identity));
  const missing = facts.base.filter(
    (object) => object.kind !== "Namespace" && !present.has(identity(object)),
  );
  if (observed.namespace !== undefined && missing.length === 0)
    return done(
      "Provisioned",
      `Namespace ${facts.cell.namespace} and its quota, policies, identities and Secrets exist.`,
    );
  const secrets = missing.filter(({ kind }) => kind === "Secret").map(({ metadata }) => metadata.name);
  if (facts.provisionedHash !== undefined && secrets.length > 0)
    return waiting(
      "SecretMissing",
      `Secret ${secrets.join(", ")} was deleted and is made again with the same content; no action needed.`,
    );
  return waiting("Creating", `Making the objects of namespace ${facts.cell.namespace}; no action needed.`);
}

function databaseReady(facts: Facts, observed: Observed): StepState {
  const { external, engine } = facts.cell.spec.database;
  if (external !== undefined) return externalReady(external.host, facts);
  const state = storeReady("database", "database", facts, observed);
  if (state.kind !== "waiting" || engine !== "CockroachDB") return state;
  return initRefusal(facts, observed) ?? state;
}

/** What the Job that initializes a cluster could not do. */
function initRefusal(facts: Facts, observed: Observed): StepState | undefined {
  const job = facts.base.find(({ kind }) => kind === "Job");
  if (job === undefined) return undefined;
  const outcome = jobOutcome(find(observed, "Job", job.metadata.name), observed.pods);
  const result =
    outcome.kind === "failed" ? outcome.result : outcome.kind === "running" ? outcome.last : undefined;
  return result?.ok === false
    ? waiting(result.reason, `${trimmed(result.message)} It is tried again by itself.`)
    : undefined;
}

/** Only the Job reaches a server that somebody else runs: what it said last is what is known. */
function externalReady(host: string, facts: Facts): StepState {
  if (facts.provisionedHash !== undefined)
    return done(
      "External",
      `The server at ${host} is run by somebody else; the cell has its database there.`,
    );
  const refusal = databaseRefusal(facts);
  if (refusal === undefined)
    return waiting(
      "Connecting",
      `Job ${facts.provisionJob} makes the cell's database at ${host}; no action needed.`,
    );
  return waiting(refusal.reason, `${trimmed(refusal.message)} It is tried again by itself.`);
}

/** Why the Job could not begin on a server that somebody else runs, as far as it said so. */
function databaseRefusal({ provision, cell }: Facts): { reason: string; message: string } | undefined {
  if (cell.spec.database.external === undefined) return undefined;
  const result =
    provision.kind === "failed"
      ? provision.result
      : provision.kind === "running"
        ? provision.last
        : undefined;
  return result?.ok === false && /^(Database|AdminSecret)/.test(result.reason) ? result : undefined;
}

function storeReady(name: string, what: string, facts: Facts, observed: Observed): StepState {
  const desired = facts.base.find(({ kind, metadata }) => kind === "StatefulSet" && metadata.name === name);
  const live = rolloutOf(find(observed, "StatefulSet", name), desired);
  const held = facts.held.includes(`StatefulSet/${name}`);
  const unbound = unboundClaim(desired, observed);
  if (unbound !== undefined)
    return waiting(
      "VolumeNotBound",
      `Claim ${unbound} of the ${what} has no volume yet and grows as soon as it has one; see kubectl -n ${facts.cell.namespace} describe pvc ${unbound}.`,
    );
  if (live.complete)
    return done("Ready", `Every pod of the ${what} is ready (${live.ready} of ${live.replicas}).`);
  const short = shortOf(find(observed, "StatefulSet", name), observed);
  if (short !== undefined) return short;
  if (held) return waiting("Held", `The ${what} is held by an annotation; it goes on when the hold expires.`);
  const [blocker] = blockedPods(podsOf(observed, name));
  if (blocker !== undefined)
    return waiting(
      "PodBlocked",
      `Pod ${blocker.name} of the ${what} cannot start: ${blocker.reason}; see kubectl -n ${facts.cell.namespace} describe pod ${blocker.name}.`,
    );
  return waiting(
    "Starting",
    `${live.ready} of ${live.replicas || 1} pods of the ${what} are ready; no action needed.`,
  );
}

function schemaMigrated(facts: Facts, observed: Observed, running: string | undefined): StepState {
  const { provision, provisionJob, cell } = facts;
  if (facts.provisionedHash !== undefined)
    return done("Migrated", "Roles, schema and lease row are as this release needs them.");
  const result =
    provision.kind === "failed"
      ? provision.result
      : provision.kind === "running"
        ? provision.last
        : undefined;
  if (result?.ok === false) {
    if (result.reason === "KafkaUnreachable")
      return waiting("WaitingForTopics", "The same Job waits for Kafka; see TopicsReady.");
    if (databaseRefusal(facts) !== undefined)
      return waiting("WaitingForDatabase", "The same Job makes the database first; see DatabaseReady.");
    const text = `${trimmed(result.message)}`;
    if (provision.kind === "failed" && result.reason === "MigrationFailed")
      return stalled(
        result.reason,
        `${text} Correct it and set release.image, or delete Job ${provisionJob} in ${cell.namespace} to run it again.`,
      );
    return waiting(
      result.reason,
      `${text} It is tried again; see kubectl -n ${cell.namespace} logs job/${provisionJob}.`,
    );
  }
  const job = find(observed, "Job", provisionJob);
  const short = shortOf(job, observed);
  if (short !== undefined) return short;
  // The first pod of a release is the Job's: an image that cannot be had shows here, before any service has changed.
  const stuck = job === undefined ? undefined : podFailure(podsOfJob(job, observed.pods));
  if (stuck !== undefined) {
    const image = cellImage(cell);
    const action =
      running === undefined || running === image
        ? "Set release.image to one that can be had."
        : `Services keep what they run. Set release.image back to ${running}, or to one that can be had.`;
    return stalled("RolloutFailed", `Job ${provisionJob} does not start with ${image}: ${stuck} ${action}`);
  }
  if (provision.kind === "absent" && (!facts.databaseUp || facts.epochs.issued))
    return waiting("WaitingForDatabase", "Runs as soon as the database is ready; no action needed.");
  return waiting("Migrating", `Job ${provisionJob} makes roles, schema and topics; no action needed.`);
}

function topicsReady(facts: Facts): StepState {
  const { provision, provisionJob, cell } = facts;
  if (facts.provisionedHash !== undefined) return done("Ready", `The topics cells.${cell.name}.* exist.`);
  const result =
    provision.kind === "failed"
      ? provision.result
      : provision.kind === "running"
        ? provision.last
        : undefined;
  if (result?.ok === false && result.reason === "KafkaUnreachable")
    return waiting(
      result.reason,
      `${trimmed(result.message)} It is tried again; see kubectl -n ${cell.namespace} logs job/${provisionJob}.`,
    );
  return waiting("WaitingForJob", "Made by the same Job as the schema; no action needed.");
}
