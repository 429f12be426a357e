/** Something that takes units of stock, alone in its process. */
export interface HoldContender {
  /** How it works, in a line for the reader of the figures. */
  readonly about: string;
  /** Forgets everything and puts `units` of each of `skus` SKUs on stock; they are numbered from 0. */
  fill(skus: number, units: number): Promise<void>;
  /** Takes one unit; false when there is none left, or when it was asked to come again. */
  take(sku: number): Promise<boolean>;
  /** Units that are taken according to its own books; throws when these contradict each other. */
  taken(): Promise<number>;
  close(): Promise<void>;
}

/** Where a contender finds its stores. Each has a database and a logical Redis database of its own. */
export interface HoldStores {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  /** What a slice of our cell is given. */
  readonly env: Readonly<Record<string, string>>;
}

/** `path`: what the caller has when the call returns. Only what ends in the same state is compared. */
export interface HoldContenderName {
  readonly name: string;
  readonly path: "volatile" | "durable";
  readonly isOurs: boolean;
}

export const CONTENDERS: readonly HoldContenderName[] = [
  { name: "ours", path: "volatile", isOurs: true },
  { name: "naive-lua", path: "volatile", isOurs: false },
  { name: "ours-durable", path: "durable", isOurs: true },
  { name: "pg-update", path: "durable", isOurs: false },
  { name: "pg-for-update", path: "durable", isOurs: false },
  { name: "medusa", path: "durable", isOurs: false },
];
