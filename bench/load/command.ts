import type { Progress } from "../../local/progress.ts";

/** One benchmark as `npm run bench` knows it. */
export interface Command {
  readonly name: string;
  readonly usage: string;
  /** Runs it and returns what it found, for people. */
  run(
    args: readonly string[],
    tools: { readonly progress: Progress; readonly signal: AbortSignal },
  ): Promise<string>;
}

/** A whole number of the command line. */
export function whole(name: string, text: string, max: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > max)
    throw new Error(`${name} takes a whole number from 1 to ${max}.`);
  return value;
}
