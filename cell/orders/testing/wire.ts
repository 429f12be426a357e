import { readFile } from "node:fs/promises";
import type { TestCell } from "../../../platform/testing/cell.ts";
import { createSigner } from "../../../platform/trust.ts";
import { USER } from "./center.ts";

/** Headers as the gateway sends them for a customer, for requests that have to be seen as they go over the wire. */
export async function gatewayHeaders(
  cell: TestCell,
  key: string,
  more: Readonly<Record<string, string>> = {},
): Promise<Record<string, string>> {
  const jwk = JSON.parse(await readFile(`${cell.trustDir}/cell-key.jwk`, "utf8")) as object;
  const signer = await createSigner({ jwk, issuer: "gateway", subject: "gateway" });
  return {
    authorization: `Bearer ${await signer.token(cell.center)}`,
    "content-type": "application/json",
    "idempotency-key": key,
    "x-cells-user": USER,
    "x-cells-roles": "customer",
    ...more,
  };
}
