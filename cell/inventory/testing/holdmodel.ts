import type { MirrorValue } from "../batch.ts";
import { aggregate, type Demand } from "../domain.ts";
import type { Placed, PlaceRequest } from "../holds.ts";

interface ModelHold {
  state: "open" | "released" | "closed";
  key: string;
  owner: string;
  orderId: string;
  lines: Demand[];
  expired: boolean;
}

/** What the hold store should do, said a second time in the plainest way: no counters, everything is added up when asked. */
export class HoldModel {
  alive = true;
  epochKnown = true;
  readonly mirror = new Map<string, { version: number; sellable: number }>();
  readonly holds = new Map<string, ModelHold>();

  /** Units of open holds; one that has expired counts until it is swept. */
  reserved(sku: string, exceptId?: string): number {
    let units = 0;
    for (const [id, hold] of this.holds) {
      if (hold.state !== "open" || id === exceptId) continue;
      for (const line of hold.lines) if (line.sku === sku) units += line.quantity;
    }
    return units;
  }

  place(request: PlaceRequest): Placed["kind"] | "same" | "replaced" | "new" {
    if (!this.alive) return "lost";
    this.sweep();
    const own = this.holds.get(request.holdId);
    if (own && own.state !== "open") return "closed";
    if (own && (own.owner !== request.owner || own.orderId !== request.orderId)) return "foreign";
    if (own && own.key === request.callKey) return "same";
    const lines = aggregate(request.lines);
    for (const { sku, quantity } of lines) {
      const mirrored = this.mirror.get(sku);
      if (!mirrored || mirrored.sellable - this.reserved(sku, request.holdId) < quantity) return "short";
    }
    const { callKey: key, owner, orderId } = request;
    this.holds.set(request.holdId, { state: "open", key, owner, orderId, lines, expired: false });
    return own ? "replaced" : "new";
  }

  release(id: string): "released" | "gone" | "closed" | "lost" {
    if (!this.alive) return "lost";
    const hold = this.holds.get(id);
    if (hold?.state === "closed") return "closed";
    this.close(id, "released");
    return hold?.state === "open" ? "released" : "gone";
  }

  settle(ids: readonly string[], values: readonly MirrorValue[]): boolean {
    for (const { sku, version, sellable } of values) {
      if (version > (this.mirror.get(sku)?.version ?? -1)) this.mirror.set(sku, { version, sellable });
    }
    if (!this.alive) return false;
    for (const id of ids) this.close(id, "closed");
    return true;
  }

  sweep(): number {
    let swept = 0;
    for (const [id, hold] of this.holds) {
      if (hold.state !== "open" || !hold.expired) continue;
      this.holds.delete(id);
      swept++;
    }
    return swept;
  }

  /** A store that does not know its epoch any more keeps no mirror: the ledger may have been restored meanwhile. */
  rebuild(): void {
    if (!this.epochKnown) this.mirror.clear();
    this.epochKnown = true;
    this.alive = true;
  }

  /** Everything is gone, as after FLUSHALL. */
  lose(): void {
    this.alive = false;
    this.epochKnown = false;
    this.mirror.clear();
    this.holds.clear();
  }

  private close(id: string, state: "released" | "closed"): void {
    const before = this.holds.get(id);
    this.holds.set(id, {
      key: before?.key ?? "",
      owner: before?.owner ?? "",
      orderId: before?.orderId ?? "",
      state,
      lines: [],
      expired: false,
    });
  }
}
