import type { AllocatedLine, Bin } from "./contract.ts";
import type { BinBalance, Demand, MovementDraft } from "./domain.ts";

/** What the one writer of stock can be asked to do. Every kind is decided by a pure function over a `LedgerView`. */
export type Command =
  | ReceiveCommand
  | AdjustCommand
  | AllocateCommand
  | ReleaseCommand
  | ReleaseLinesCommand
  | PickCommand
  | ShortCommand
  | PutbackCommand
  | ReturnCommand
  | TransferCommand
  | CountCommand
  | HoldCommand
  | DropHoldCommand
  | SettledCommand;

export interface StockLine {
  readonly sku: string;
  readonly bin: Bin;
  readonly quantity: number;
}
export interface ReceiveCommand {
  readonly kind: "receive";
  readonly id: string;
  /** Who did it; no part of what the command says. */
  readonly actor?: string;
  readonly lines: readonly StockLine[];
}
export interface AdjustCommand {
  readonly kind: "adjust";
  readonly id: string;
  /** Who did it; no part of what the command says. */
  readonly actor?: string;
  readonly reason: "count" | "damage" | "restock" | "shrink" | "repair";
  readonly lines: readonly {
    readonly sku: string;
    readonly bin: Bin;
    readonly onHandDelta: number;
    readonly damagedDelta: number;
  }[];
}
export interface AllocateCommand {
  readonly kind: "allocate";
  readonly id: string;
  readonly orderId: string;
  readonly lines: readonly Demand[];
}
export interface ReleaseCommand {
  readonly kind: "release";
  readonly id: string;
}
/** A part of an allocation goes back to sale; the rest stays. */
export interface ReleaseLinesCommand {
  readonly kind: "release-lines";
  readonly id: string;
  readonly holdId: string;
  readonly lines: readonly Demand[];
}
export interface PickCommand extends StockLine {
  readonly kind: "pick";
  readonly id: string;
  readonly holdId: string;
  readonly actor: string;
}
export interface ShortCommand extends StockLine {
  readonly kind: "short";
  readonly id: string;
  readonly holdId: string;
}
export interface PutbackCommand {
  readonly kind: "putback";
  readonly id: string;
  readonly holdId: string;
  readonly lines: readonly StockLine[];
}
/** Units of a delivered order come back. Without a bin they go where they were picked. */
export interface ReturnCommand {
  readonly kind: "return";
  readonly id: string;
  readonly orderId: string;
  readonly holdId: string;
  readonly actor: string;
  readonly lines: readonly (Demand & {
    readonly bin?: Bin | undefined;
    readonly condition: "sellable" | "damaged";
  })[];
}
/** Goods go to another center, or come from one. */
export interface TransferCommand {
  readonly kind: "transfer-out" | "transfer-in";
  readonly id: string;
  readonly center: string;
  readonly lines: readonly StockLine[];
}
/** What somebody found in a bin, and between which versions of the SKU that was looked at. */
export interface CountLine {
  readonly sku: string;
  readonly bin: Bin;
  /** All units in the bin, damaged ones too. */
  readonly counted: number;
  readonly fromVersion: number;
  readonly toVersion: number;
}
export interface CountCommand {
  readonly kind: "count";
  readonly id: string;
  readonly actor: string;
  readonly lines: readonly CountLine[];
}
/** A hold that is written to SQL because the hold store cannot be trusted at the moment. */
export interface HoldCommand {
  readonly kind: "hold";
  readonly id: string;
  readonly orderId: string;
  readonly owner: string;
  readonly callKey: string;
  readonly ttlMs: number;
  readonly lines: readonly Demand[];
}
/** Ends a hold whose end could not be written to the hold store; `queueDrop` leaves a note to do it there, too. */
export interface DropHoldCommand {
  readonly kind: "drop-hold";
  readonly id: string;
  readonly queueDrop: boolean;
}
/** The hold store has taken these: their notes may go, and so may the rows of holds that live there now. */
export interface SettledCommand {
  readonly kind: "settled";
  readonly id: string;
  readonly mirrors: readonly { readonly sku: string; readonly version: number }[];
  readonly holdIds: readonly string[];
  readonly movedHolds: readonly { readonly holdId: string; readonly callKey: string }[];
}

/** One bin's part of an allocation and what became of it; see the table `allocation_line`. */
export interface AllocationLine {
  readonly sku: string;
  readonly binId: string;
  readonly bin: Bin;
  readonly quantity: number;
  readonly picked: number;
  readonly shorted: number;
  readonly putBack: number;
  readonly released: number;
  readonly returned: number;
}
export interface Allocation {
  readonly holdId: string;
  readonly orderId: string;
  readonly state: "allocated" | "released";
  readonly lines: readonly AllocationLine[];
}
export interface SqlHold {
  readonly holdId: string;
  readonly orderId: string;
  readonly owner: string;
  readonly callKey: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  /** It was asked for again and ends later than at first; that happens once. */
  readonly extended: boolean;
  readonly lines: readonly Demand[];
}
/** One counted bin: units on hand when the transaction began, and the movements before that since some version. */
export interface CountBase {
  readonly onHand: number;
  readonly movements: readonly { readonly version: number; readonly onHandDelta: number }[];
}
/** What came of counting a bin. `difference`: counted minus books; `applied`: how much of it the ledger could take. */
export interface CountedLine {
  readonly sku: string;
  readonly bin: Bin;
  readonly outcome: "matched" | "corrected" | "partly" | "recount";
  readonly difference: number;
  readonly applied: number;
  readonly version: number;
}
export interface StoredAnswer {
  readonly bodyHash: string;
  readonly answer: unknown;
}
export interface SkuFacts {
  readonly barcode: string;
  readonly weightGrams: number;
}

/**
 * Everything a batch of commands may look at, as one transaction read it. The maps are a working copy: `advance` moves it on
 * after each accepted command, so that the next command of the batch sees the effect.
 */
export interface LedgerView {
  /** The database's clock at the start of the transaction. */
  readonly nowMs: number;
  readonly skus: Map<string, SkuFacts>;
  readonly balances: Map<string, BinBalance[]>;
  readonly allocations: Map<string, Allocation>;
  /** The live holds in SQL that the commands name. */
  readonly holds: Map<string, SqlHold>;
  /** Units that all live holds in SQL claim, for the SKUs that new holds ask for. */
  readonly held: Map<string, number>;
  /** For count commands, by `sku binId`. */
  readonly counts: Map<string, CountBase>;
  /** By `commandKey`. */
  readonly answers: Map<string, StoredAnswer>;
}

export interface EventDraft {
  readonly type: string;
  readonly subject: string;
  readonly version: number;
  readonly data: unknown;
  /** Trace of the request behind it, as a `traceparent`. */
  readonly traceparent?: string | undefined;
}

/** What an accepted command changes. All numbers are relative. */
export interface Change {
  readonly movements: readonly MovementDraft[];
  readonly allocation?: Allocation;
  readonly hold?: SqlHold;
  readonly removeHold?: string;
  /** Holds to be dropped from the hold store after the commit. */
  readonly drop?: string;
  readonly settled?: SettledCommand;
  readonly counts?: readonly (CountedLine & { readonly countId: string; readonly actor: string })[];
  readonly events?: readonly EventDraft[];
}

/** Answer of an allocate command; what `POST /internal/allocations` returns. */
export interface AllocatedAnswer {
  readonly allocationId: string;
  readonly orderId: string;
  readonly lines: readonly AllocatedLine[];
}

/** The name under which the answer of a command is kept; undefined for kinds that are harmless to run again. */
export function commandKey(command: Command): string | undefined {
  return command.kind === "hold" || command.kind === "drop-hold" || command.kind === "settled"
    ? undefined
    : `${command.kind}:${command.id}`;
}

/** The SKUs that a command names itself; those of its allocation come from the database. */
export function skusOf(command: Command): string[] {
  switch (command.kind) {
    case "pick":
    case "short":
      return [command.sku];
    case "release":
    case "drop-hold":
    case "settled":
      return [];
    default:
      return command.lines.map((line) => line.sku);
  }
}

/** The hold or allocation that a command is about. */
export function holdOf(command: Command): string | undefined {
  switch (command.kind) {
    case "allocate":
    case "release":
    case "hold":
    case "drop-hold":
      return command.id;
    case "pick":
    case "short":
    case "putback":
    case "release-lines":
    case "return":
      return command.holdId;
    default:
      return undefined;
  }
}
