import { join } from "node:path";
import type { Report } from "../cluster/report.ts";
import { buildCellImage } from "./cell.ts";
import { buildStoresImage } from "./stores.ts";

export interface ImagesOptions {
  readonly report: Report;
  /** The checkout; default: the one this file is in. */
  readonly root?: string;
}

/** The images of the local cluster. */
export interface Images {
  /** Name of the image of operator, slices, gateway and jobs. */
  readonly cell: string;
  /** Name of the image of PostgreSQL, Redis and Kafka. */
  readonly stores: string;
  /** The archives in the order in which they have to be imported. */
  readonly archives: readonly { readonly ref: string; readonly archive: string }[];
}

/** Makes the images that the local cluster runs, without Docker. What has not changed since is not made again. */
export async function buildImages({
  report,
  root = join(import.meta.dirname, "..", ".."),
}: ImagesOptions): Promise<Images> {
  const [{ base, cell }, stores] = await Promise.all([
    report.step("Build the cell image", "Node, packages and source: 4 s, after a change under 1 s", () =>
      buildCellImage(root),
    ),
    report.step("Build the stores image", "PostgreSQL, Redis and Kafka: 8 s, once", () =>
      buildStoresImage(report),
    ),
  ]);
  return {
    cell: cell.ref,
    stores: stores.ref,
    archives: [base, cell, stores].map(({ ref, archive }) => ({ ref, archive })),
  };
}
