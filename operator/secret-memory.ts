import type { KubeObject } from "../platform/kube/objects.ts";

/**
 * What each Secret of a cell was when the operator last wrote it or found it in order. Nothing else knows a password
 * that a person has overwritten, and the database keeps the old one. Only in memory: after a restart, what the
 * cluster has is taken for right.
 */
export interface SecretMemory {
  /** The objects as they should be: Secrets that were changed are as they were. What is missing stays missing, and is told. */
  restored(
    namespaceUid: string | undefined,
    center: string,
    objects: readonly KubeObject[],
  ): readonly KubeObject[];
  /** Takes over what a pass has written. */
  remember(namespaceUid: string | undefined, center: string, secret: KubeObject): void;
  knows(center: string, secret: KubeObject): boolean;
  forget(center: string): void;
}

interface Known {
  readonly namespaceUid: string;
  readonly secrets: Map<string, KubeObject>;
}

const MAX_CENTERS = 10_000;

/** Makes an empty memory. */
export function createSecretMemory(): SecretMemory {
  const centers = new Map<string, Known>();
  return {
    restored(namespaceUid, center, objects) {
      const known = centers.get(center);
      if (known === undefined || known.namespaceUid !== namespaceUid) return objects;
      return objects.map((object) => {
        const before = object.kind === "Secret" ? known.secrets.get(object.metadata.name) : undefined;
        return before === undefined ? object : { ...object, data: before.data };
      });
    },
    remember(namespaceUid, center, secret) {
      if (namespaceUid === undefined) return;
      const before = centers.get(center);
      const known =
        before?.namespaceUid === namespaceUid
          ? before
          : { namespaceUid, secrets: new Map<string, KubeObject>() };
      if (before !== known && centers.size >= MAX_CENTERS) centers.clear();
      centers.set(center, known);
      known.secrets.set(secret.metadata.name, secret);
    },
    knows: (center, secret) => centers.get(center)?.secrets.has(secret.metadata.name) === true,
    forget: (center) => void centers.delete(center),
  };
}
