import fc from "fast-check";
import { expect, test } from "vitest";
import type { IntentStatus } from "./contract.ts";
import { type IntentEvent, next } from "./domain.ts";

type Ask = "authorize" | "void" | "capture";

/** The processor's truth about one authorization: what is asked under one key happens once, and a void closes the key for good. */
class Processor {
  authorization: "none" | "approved" | "declined" | "voided" = "none";
  captures = 0;
  private readonly declines: boolean;

  constructor(declines: boolean) {
    this.declines = declines;
  }

  take(ask: Ask): IntentEvent {
    if (ask === "authorize") {
      if (this.authorization === "none") this.authorization = this.declines ? "declined" : "approved";
      return this.authorization === "voided"
        ? "auth.voided"
        : this.authorization === "declined"
          ? "auth.declined"
          : "auth.ok";
    }
    if (ask === "void") {
      if (this.captures > 0) throw new Error("captured money is given up");
      this.authorization = "voided";
      return "void.done";
    }
    if (this.authorization !== "approved") return "capture.refused";
    this.captures = 1;
    return "capture.done";
  }
}

/**
 * One intent, those who ask for its money, and the way to the processor: requests and answers are delayed, lost, repeated (a webhook says
 * what an answer has said already) and overtake each other. A request without an answer is sent again under its key.
 */
class World {
  status: IntentStatus = "authorising";
  readonly statuses: IntentStatus[] = ["authorising"];
  readonly processor: Processor;
  /** Requests of which no answer has come back yet. */
  private readonly open = new Set<Ask>(["authorize"]);
  private readonly flying: Ask[] = [];
  private readonly answers: IntentEvent[] = [];
  private readonly wishes: ("void" | "capture")[];
  private losses = 6;
  private sends = 12;

  constructor(declines: boolean, wishes: readonly ("void" | "capture")[]) {
    this.processor = new Processor(declines);
    this.wishes = [...wishes];
  }

  actions(): (() => void)[] {
    const actions: (() => void)[] = [];
    // Patience is without end, but a storm is not.
    const isQuiet = this.flying.length === 0 && this.answers.length === 0;
    for (const ask of this.open)
      if (!this.flying.includes(ask) && (this.sends > 0 || isQuiet)) actions.push(() => this.send(ask));
    for (const index of this.flying.keys()) actions.push(() => this.reach(index));
    for (const index of this.answers.keys()) actions.push(() => this.hear(index));
    if (this.flying.length > 0 && this.losses > 0) actions.push(() => this.lose());
    if (this.wishes.length > 0) actions.push(() => this.wish());
    return actions;
  }

  private move(event: IntentEvent): boolean {
    const to = next(this.status, event);
    if (to === undefined) return false;
    this.status = to;
    this.statuses.push(to);
    return true;
  }

  private send(ask: Ask): void {
    this.sends--;
    this.flying.push(ask);
  }

  private reach(index: number): void {
    const [ask] = this.flying.splice(index, 1);
    if (ask === undefined) return;
    const answer = this.processor.take(ask);
    // The answer, and the webhook that says the same.
    this.answers.push(answer, answer);
    if (ask === "capture") this.answers.push("capture.waits");
  }

  private hear(index: number): void {
    const [event] = this.answers.splice(index, 1);
    if (event === undefined) return;
    const kind = event.split(".")[0];
    if (event !== "capture.waits") this.open.delete(kind === "auth" ? "authorize" : (kind as Ask));
    this.move(event);
  }

  private lose(): void {
    this.losses--;
    this.flying.shift();
    this.move("auth.unknown");
  }

  private wish(): void {
    const wish = this.wishes.shift();
    if (wish && this.move(`${wish}.asked`)) this.open.add(wish);
  }
}

const wishesArb = fc.array(fc.constantFrom("void" as const, "capture" as const), { maxLength: 6 });

test("however answers, webhooks and wishes overtake each other, money is taken or given up, never both, and the status is the truth", () => {
  const ends = new Set<string>();
  fc.assert(
    fc.property(
      fc.boolean(),
      wishesArb,
      fc.array(fc.nat(1_000), { maxLength: 60, size: "max" }),
      (declines, wishes, lots) => {
        const world = new World(declines, wishes);
        for (let turn = 0; ; turn++) {
          const actions = world.actions();
          if (actions.length === 0) break;
          actions[(lots[turn] ?? 0) % actions.length]?.();
        }
        const { status, statuses, processor } = world;
        const truth: Readonly<Record<Processor["authorization"], readonly IntentStatus[]>> = {
          none: [],
          approved: processor.captures > 0 ? ["captured"] : ["authorised"],
          declined: ["declined"],
          voided: ["voided"],
        };
        expect(truth[processor.authorization]).toContain(status);
        expect(processor.captures).toBeLessThanOrEqual(1);
        expect(statuses.includes("voiding") && statuses.includes("capturing")).toBe(false);
        expect(statuses).not.toContain("expired");
        ends.add(status);
      },
    ),
    { numRuns: 3_000 },
  );
  expect([...ends].sort()).toEqual(["authorised", "captured", "declined", "voided"]);
});
