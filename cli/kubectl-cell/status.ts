import { EVENT_NAMESPACE } from "../../operator/access.ts";
import type { FulfillmentCenter } from "../../operator/api/fulfillment-center.ts";
import { cellNamespace, FULFILLMENT_CENTER, ROUTING_TABLE } from "../../operator/api/names.ts";
import type { RoutingTable } from "../../operator/api/routing-table.ts";
import { KINDS } from "../../platform/kube/kinds.ts";
import type { KubeObject } from "../../platform/kube/objects.ts";
import { followCenter } from "./follow.ts";
import { type CenterReport, reportOf } from "./report.ts";
import { allCenters, centerNamed, type Session } from "./session.ts";
import { statusScreen, statusTable } from "./status-text.ts";

export interface StatusOptions {
  readonly name: string | undefined;
  readonly json: boolean;
  readonly watch: boolean;
}

/** Prints how one center does, or all of them in a table. */
export async function runStatus(session: Session, options: StatusOptions): Promise<number> {
  const { name, json } = options;
  if (name === undefined) {
    const reports = await allReports(session);
    session.terminal.print(
      json
        ? JSON.stringify({ centers: reports }, null, 2)
        : statusTable(reports, session.terminal, session.nowMs()),
    );
    return 0;
  }
  const print = async (fc: FulfillmentCenter) => {
    const report = reportOf(fc, await surroundings(session, fc));
    return json ? JSON.stringify(report, null, 2) : statusScreen(report, session.terminal, session.nowMs());
  };
  let shown = await print(await centerNamed(session, name));
  session.terminal.print(shown);
  if (!options.watch) return 0;
  await followCenter(session, name, async (fc) => {
    if (fc === undefined) return true;
    const text = await print(fc);
    if (text !== shown) session.terminal.print(`\n${text}`);
    shown = text;
    return false;
  });
  return 0;
}

async function allReports(session: Session): Promise<CenterReport[]> {
  const centers = await allCenters(session);
  const listed = await session.client.listAll<RoutingTable>(ROUTING_TABLE);
  const tables = listed.ok ? listed.value.items : [];
  return centers.map((fc) => {
    const table = tables.find(({ metadata }) => metadata.name === fc.spec.region);
    return reportOf(fc, { table, events: [] });
  });
}

/** What a caller may not read is left out: the screen then says less, and no less true. */
async function surroundings(session: Session, fc: FulfillmentCenter) {
  const { client } = session;
  const { name } = fc.metadata;
  const [table, told, inside] = await Promise.all([
    client.get<RoutingTable>(ROUTING_TABLE, { name: fc.spec.region }),
    client.list(KINDS.event, {
      namespace: EVENT_NAMESPACE,
      fieldSelector: `regarding.kind=${FULFILLMENT_CENTER.kind},regarding.name=${name}`,
    }),
    client.list(KINDS.event, { namespace: cellNamespace(name), fieldSelector: "type=Warning" }),
  ]);
  const ownUid = ({ regarding }: KubeObject) => {
    const { uid } = (regarding ?? {}) as { uid?: string };
    return uid === undefined || uid === "" || uid === fc.metadata.uid;
  };
  return {
    table: table.ok ? table.value : undefined,
    events: [...(told.ok ? told.value.items.filter(ownUid) : []), ...(inside.ok ? inside.value.items : [])],
  };
}
