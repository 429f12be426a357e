import type { KubeObject } from "../platform/kube/objects.ts";
import { ANNOTATIONS } from "./api/names.ts";
import { identity } from "./observed.ts";

/** Longest time that a mark may keep the operator away. */
export const MAX_HOLD_MS = 15 * 60_000;

export interface Holds {
  /** Identities of objects to leave alone entirely. */
  readonly held: ReadonlySet<string>;
  /** When the first of them expires. */
  readonly nextExpiryMs: number | undefined;
  /** Marks that do not count, each with the sentence for its Event. */
  readonly ignored: readonly { readonly object: KubeObject; readonly note: string }[];
}

/**
 * Which objects somebody holds. A held object is skipped whole: under server-side apply, leaving out just one
 * field that we alone own would reset it to its default.
 */
export function holdsOf(objects: readonly KubeObject[], nowMs: number): Holds {
  const held = new Set<string>();
  const ignored: { object: KubeObject; note: string }[] = [];
  let nextExpiryMs: number | undefined;
  for (const object of objects) {
    const mark = object.metadata.annotations?.[ANNOTATIONS.heldUntil];
    if (mark === undefined) continue;
    const untilMs = /^\d{4}-\d{2}-\d{2}T[\d:.]+(Z|[+-]\d{2}:\d{2})$/.test(mark)
      ? Date.parse(mark)
      : Number.NaN;
    if (Number.isNaN(untilMs))
      ignored.push({ object, note: ignoredNote(object, mark, "it is not an RFC 3339 time") });
    else if (untilMs > nowMs + MAX_HOLD_MS)
      ignored.push({ object, note: ignoredNote(object, mark, "it is more than 15 minutes ahead") });
    else if (untilMs > nowMs) {
      held.add(identity(object));
      nextExpiryMs = Math.min(nextExpiryMs ?? untilMs, untilMs);
    }
  }
  return { held, nextExpiryMs, ignored };
}

function ignoredNote(object: KubeObject, mark: string, why: string): string {
  return `${identity(object)}: ${ANNOTATIONS.heldUntil}=${mark.slice(0, 64)} is ignored because ${why}; set a time at most 15 minutes ahead.`;
}
