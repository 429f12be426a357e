import type { Progress } from "../progress.ts";
export async function withoutKubernetes(_o: {
  root: string;
  orders: number;
  progress: Progress;
  json: string | undefined;
}): Promise<number> {
  throw new Error("unfinished");
}
