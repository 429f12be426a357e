import fc from "fast-check";
import { expect, test } from "vitest";
import { decide, effectsOf, type OrderEvent, type OrderState, TERMINAL } from "./domain.ts";

/**
 * One order and those who move it, in memory: the floor and the road tell it by events that may come in any order and more than once,
 * the handover and the cancellation are asked for and answered. Parking and deduplication are those of `transitions.ts`.
 */
class World {
  state: OrderState = "confirmed";
  /** Events on their way. */
  readonly flying: { readonly id: string; readonly event: OrderEvent }[] = [];
  readonly effects: string[] = [];
  readonly moves: OrderState[] = [];
  private parked: { readonly id: string; readonly event: OrderEvent }[] = [];
  private readonly applied = new Set<string>();
  private floor: OrderEvent[] = ["pick.start", "lines.resolved", "pack.ok"];
  private road: OrderEvent[] = [];
  private sent = 0;
  private asks = 1;
  private hasPutBack = false;

  /** What may happen next. */
  actions(): (() => void)[] {
    const actions = this.flying.map((one) => () => this.arrive(one));
    if (this.floor.length > 0 && !this.isStopped()) actions.push(() => this.work());
    if (this.state === "cancelling" && !this.hasPutBack) actions.push(() => this.putBack());
    if (this.road.length > 0 && this.mayDrive()) actions.push(() => this.drive());
    if (this.asks > 0) actions.push(() => this.cancel());
    return actions;
  }

  /** An event is delivered a second time. */
  repeat(index: number): void {
    const one = this.flying[index % Math.max(1, this.flying.length)];
    if (one) this.flying.push(one);
  }

  get parkedEvents(): readonly OrderEvent[] {
    return this.parked.map(({ event }) => event);
  }

  private isStopped(): boolean {
    return this.state === "cancelling" || TERMINAL.has(this.state);
  }

  private send(event: OrderEvent): void {
    this.flying.push({ id: `e${this.sent++}`, event });
  }

  private work(): void {
    const event = this.floor.shift();
    if (event) this.send(event);
    if (event === "pack.ok") this.road = ["offer.accepted", "handover", "arrive", "proof"];
  }

  private putBack(): void {
    this.hasPutBack = true;
    this.floor = [];
    this.send("putback.done");
  }

  private mayDrive(): boolean {
    return this.road[0] !== "handover" || !this.isStopped();
  }

  private drive(): void {
    const [event] = this.road;
    if (event === undefined) return;
    // The parcel leaves only when orders says so at that moment.
    if (event === "handover" && !this.take("handover", "handover", false)) {
      if (this.isStopped()) this.road = [];
      return;
    }
    this.road.shift();
    if (event !== "handover") this.send(event);
  }

  private cancel(): void {
    this.asks--;
    this.take("cancel", "cancel", false);
  }

  private arrive(one: { readonly id: string; readonly event: OrderEvent }): void {
    this.flying.splice(this.flying.indexOf(one), 1);
    this.take(one.id, one.event, true);
  }

  private take(id: string, event: OrderEvent, mayPark: boolean): boolean {
    if (this.applied.has(id)) return true;
    const decision = decide(this.state, event);
    if (decision.outcome === "too-early" && mayPark && !this.parked.some((one) => one.id === id))
      this.parked.push({ id, event });
    if (decision.outcome !== "applied") return false;
    this.applied.add(id);
    this.effects.push(...effectsOf(this.state, decision.to));
    this.state = decision.to;
    this.moves.push(decision.to);
    const waiting = this.parked;
    this.parked = [];
    for (const one of waiting) this.take(one.id, one.event, true);
    return true;
  }
}

/** Lets everything happen in the order that the lots say; when they are used up, whatever is next. */
function play(lots: readonly number[]): World {
  const world = new World();
  let repeats = 8;
  for (let turn = 0; turn < 400; turn++) {
    const actions = world.actions();
    if (actions.length === 0) return world;
    const lot = lots[turn] ?? 0;
    if (lot % 7 === 6 && repeats-- > 0) world.repeat(lot);
    actions[lot % actions.length]?.();
  }
  throw new Error(`it does not end: ${world.state}`);
}

const lotsArb = fc.array(fc.nat(1_000), { maxLength: 80, size: "max" });

test("however floor, road and customer fall in with each other, the order ends once, and money and stock with it", () => {
  const ends = new Set<string>();
  fc.assert(
    fc.property(lotsArb, (lots) => {
      const { state, effects, moves, parkedEvents } = play(lots);
      expect(["delivered", "cancelled"]).toContain(state);
      expect(moves.filter((to) => TERMINAL.has(to))).toEqual([state]);
      const touched = moves.includes("picking");
      const cancelled = touched ? ["void"] : ["release", "void"];
      expect([...effects].sort()).toEqual(state === "delivered" ? ["capture"] : cancelled);
      for (const event of parkedEvents) expect(decide(state, event).outcome).not.toBe("applied");
      ends.add(`${state} after ${moves.at(-2) ?? "confirmed"}`);
    }),
    { numRuns: 3_000 },
  );
  // The lots do reach the places that matter.
  for (const end of ["delivered after arrived", "cancelled after confirmed", "cancelled after cancelling"])
    expect([...ends]).toContain(end);
});
