import { LABELS } from "./api/names.ts";
import { IRREPLACEABLE, RECOVERY } from "./build/recovery.ts";
import { type Observed, secretData } from "./observed.ts";

/**
 * Sentence about Secrets that are gone together with their copy although the cell's data depends on them; undefined when none is. New
 * passwords would not open the database, and a new key no stored contact: nothing is written until somebody has put them back.
 */
export function lostSecrets(
  observed: Pick<Observed, "objects" | "claims">,
  cell: { readonly namespace: string; readonly provisioned: boolean },
): string | undefined {
  const stored = observed.claims.some(({ metadata }) => metadata.labels?.[LABELS.component] === "database");
  if (!cell.provisioned && !stored) return undefined;
  const known = secretData(observed.objects);
  const lost = IRREPLACEABLE.filter((name) => known[name] === undefined);
  if (lost.length === 0) return undefined;
  return (
    `Secret ${lost.join(", ")} of namespace ${cell.namespace} is gone, and so is the copy in Secret ${RECOVERY}: nobody knows what the ` +
    "database accepts. Pods that run go on. Put the Secret back from a backup, or delete the center and make it anew."
  );
}
