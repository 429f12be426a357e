import { appendEvent } from "../../platform/outbox.ts";
import type { Tx } from "../../platform/sql.ts";
import { fulfillmentPicked } from "./contract.ts";
import { allResolved, nextPickListState, nothingPicked, type PickLine, unitsBySku } from "./domain.ts";
import { type PickList, savePickList } from "./store.ts";

/** Says something about a list, with the version that the list has by it. */
export async function say(
  tx: Tx,
  list: Pick<PickList, "id" | "orderId">,
  version: number,
  type: string,
  data: object = {},
): Promise<void> {
  const base = { orderId: list.orderId, pickListId: list.id };
  await appendEvent(tx, "fulfillment", { type, subject: list.id, version, data: { ...base, ...data } });
}

/** Saves a list whose lines have changed; with nothing left to pick it moves on, and says so. */
export async function saveResolved(
  tx: Tx,
  list: PickList,
  lines: readonly PickLine[],
  version: number,
): Promise<void> {
  const none = nothingPicked(lines);
  const state = allResolved(lines) ? nextPickListState(list.state, none ? "exhaust" : "resolve") : undefined;
  if (state === undefined) return savePickList(tx, list.id, { state: list.state, version });
  const short = unitsBySku(lines, (line) => line.short);
  await say(tx, list, version + 1, fulfillmentPicked.type, { short, nothingPicked: none });
  await savePickList(tx, list.id, { state, version: version + 1 });
}
