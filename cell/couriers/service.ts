import { appendEvent } from "../../platform/outbox.ts";
import { type Failure, fail } from "../../platform/problem.ts";
import type { Sql, Tx } from "../../platform/sql.ts";
import {
  type CourierAnswer,
  type CreateBody,
  couriersOffline,
  couriersShiftEnded,
  couriersShiftStarted,
} from "./contract.ts";
import { nextShift, type Shift, type ShiftEvent } from "./domain.ts";
import { type Courier, findCourier, insertCourier, listCouriers, lockSilent, saveShift } from "./store.ts";

type Outcome = { readonly ok: true; readonly courier: CourierAnswer } | Failure;
type Position = { readonly latitude: number; readonly longitude: number };

export interface CouriersService {
  create(body: CreateBody): Promise<CourierAnswer>;
  /** Applies a shift event; `actor` is the user, who must be the courier's own when one is set. */
  apply(
    id: string,
    event: ShiftEvent,
    actor: { sub: string; isStaff: boolean },
    position?: Position,
  ): Promise<Outcome>;
  get(id: string): Promise<CourierAnswer | undefined>;
  /** Who may act for a courier. */
  userOf(id: string): Promise<{ id: string; userSub?: string } | undefined>;
  list(onShiftOnly: boolean): Promise<CourierAnswer[]>;
  /** Marks couriers that have been silent for too long; answers how many. */
  sweepSilent(afterSeconds: number): Promise<number>;
}

const NO_COURIER = fail("not-found", "There is no such courier.");
const SWEEP_ROWS = 100;
const MAX_LIST = 2_000;

/** Who the couriers of this center are, and who is at work. */
export function createCouriersService(deps: { sql: Sql; newId(prefix: string): string }): CouriersService {
  const { sql, newId } = deps;
  return {
    async create(body) {
      const id = newId("cou");
      await sql.transaction((tx) => insertCourier(tx, { id, ...body }));
      return { id, vehicle: body.vehicle, shift: "off" };
    },
    apply: (id, event, actor, position) =>
      sql.transaction(async (tx) => {
        const courier = await findCourier(tx, id, true);
        if (!courier) return NO_COURIER;
        if (courier.userSub !== undefined && courier.userSub !== actor.sub && !actor.isStaff)
          return NO_COURIER;
        const next = nextShift(courier.shift, event);
        if (next === undefined) {
          // Ending a shift twice is no mistake; a heartbeat off shift is.
          if (event === "end") return { ok: true as const, courier: toAnswer(courier) };
          return fail("conflict", "This courier is not on shift; start the shift first.", {
            shift: courier.shift,
          });
        }
        const version = courier.version + 1;
        await saveShift(tx, id, { shift: next, version, heartbeat: true, ...(position ? { position } : {}) });
        const at = position ?? courier.position;
        await announce(
          tx,
          { ...courier, ...(at ? { position: at } : {}) },
          courier.shift,
          next,
          event,
          version,
        );
        return {
          ok: true as const,
          courier: toAnswer({ ...courier, shift: next, ...(at ? { position: at } : {}) }),
        };
      }),
    async get(id) {
      const courier = await findCourier(sql, id);
      return courier && toAnswer(courier);
    },
    async userOf(id) {
      const courier = await findCourier(sql, id);
      if (!courier) return undefined;
      return courier.userSub === undefined ? { id } : { id, userSub: courier.userSub };
    },
    list: async (onShiftOnly) => (await listCouriers(sql, onShiftOnly, MAX_LIST)).map(toAnswer),
    sweepSilent: (afterSeconds) =>
      sql.transaction(async (tx) => {
        const silent = await lockSilent(tx, afterSeconds, SWEEP_ROWS);
        for (const courier of silent) {
          const version = courier.version + 1;
          await saveShift(tx, courier.id, { shift: "silent", version, heartbeat: false });
          await announce(tx, courier, courier.shift, "silent", "silence", version);
        }
        return silent.length;
      }),
  };
}

async function announce(
  tx: Tx,
  courier: Courier,
  from: Shift,
  to: Shift,
  event: ShiftEvent,
  version: number,
): Promise<void> {
  const said = (type: string, data: unknown) =>
    appendEvent(tx, "couriers", { type, subject: courier.id, version, data });
  const { id: courierId, vehicle, position } = courier;
  // Starting again from another place tells the new place; a heartbeat after silence is a return to work.
  const atWork = to === "on" && (event === "start" || from === "silent");
  if (atWork && position) await said(couriersShiftStarted.type, { courierId, ...position, vehicle });
  if (to === "off") await said(couriersShiftEnded.type, { courierId });
  if (to === "silent") await said(couriersOffline.type, { courierId });
}

function toAnswer(courier: Courier): CourierAnswer {
  const { id, vehicle, shift, position } = courier;
  return { id, vehicle, shift, ...(position ? { position } : {}) };
}
