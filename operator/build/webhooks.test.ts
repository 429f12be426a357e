import { expect, it } from "vitest";
import { WEBHOOK_SECRETS } from "../../platform/credentials.ts";
import { settingsSchema } from "../api/settings.ts";
import { center } from "../testing/center.ts";
import { CELL_KEY, GATEWAY_KEYS, NEXT_CELL_KEY } from "../testing/world.ts";
import { cellOf } from "./cell.ts";
import { buildSecrets, credentialsChecksum } from "./secrets.ts";

/** The file of secrets that a cell gets, and what its services restart for. */
function made(words?: string): { file: string | undefined; checksum: string } {
  const settings = settingsSchema.parse({
    ...{ CELL_IMAGE: "c", POSTGRES_IMAGE: "p", REDIS_IMAGE: "r", KAFKA_BROKERS: "k:1", PSP_URL: "http://p" },
    ...(words === undefined ? {} : { PSP_WEBHOOK_SECRETS: words }),
  });
  const cell = cellOf(center(), settings, 7);
  const keys = { cellKey: CELL_KEY, nextCellKey: NEXT_CELL_KEY, gatewayKeys: GATEWAY_KEYS };
  const objects = buildSecrets(cell, { existing: {}, ...keys, random: () => "word" });
  const trust = objects.find(({ metadata }) => metadata.name === "trust")?.data as Record<string, string>;
  const encoded = trust[WEBHOOK_SECRETS];
  const file = encoded === undefined ? undefined : Buffer.from(encoded, "base64").toString();
  return { file, checksum: credentialsChecksum(cell, objects) };
}

it("a cell gets what the processor signs its webhooks with, when that is set up, and restarts nothing for it", () => {
  expect(made().file).toBeUndefined();
  const { file, checksum } = made("whsec_0123456789,whsec_of-next-year");
  expect(file).toBe("whsec_0123456789\nwhsec_of-next-year\n");
  expect(checksum).toBe(made().checksum);
});

it.each(["short", "whsec_0123456789,", "whsec_0123456789,two words of a secret", ""])(
  "the operator does not start with %j for a secret",
  (words) => {
    expect(() => made(words)).toThrow("16 characters");
  },
);
