import { expect, test } from "vitest";
import { z } from "zod";
import { ConfigError, intSetting, loadConfig } from "./config.ts";
import { cellEnvSchema } from "./slice.ts";

const needed = {
  CELL: "seoul-mapo",
  CELL_EPOCH: "7",
  REDIS_URL: "redis://127.0.0.1",
  KAFKA_BROKERS: "a:1,b:2",
  TRUST_DIR: "/trust",
};

test("the least that a cell needs, with the defaults for the rest", () => {
  expect(loadConfig(cellEnvSchema, needed)).toMatchObject({
    CELL: "seoul-mapo",
    CELL_EPOCH: 7,
    CURRENCY: "KRW",
    OFFER_ACK_SECONDS: 60,
    HOLD_TTL_SECONDS: 300,
    BIND_HOST: "0.0.0.0",
  });
});

test("an empty variable is one that is not set", () => {
  expect(loadConfig(cellEnvSchema, { ...needed, CURRENCY: "" }).CURRENCY).toBe("KRW");
});

test("every bad variable is named in one sentence", () => {
  const bad = { ...needed, CELL: "Seoul_Mapo", CELL_EPOCH: "1.5", TRUST_DIR: "", DATABASE_POOL: "0" };
  const error = (() => {
    try {
      loadConfig(cellEnvSchema, bad);
    } catch (thrown) {
      return thrown;
    }
    return undefined;
  })();
  expect(error).toBeInstanceOf(ConfigError);
  for (const name of ["CELL:", "CELL_EPOCH:", "TRUST_DIR:", "DATABASE_POOL:"])
    expect((error as ConfigError).message).toContain(name);
  expect((error as ConfigError).message).not.toContain("REDIS_URL");
});

test.each([
  ["5", 5],
  ["1", 1],
  ["10", 10],
])("%s is within bounds", (text, value) => {
  expect(loadConfig(z.object({ N: intSetting(1, 10) }), { N: text })).toEqual({ N: value });
});
test.each(["0", "11", "2.5", "two", "1e9", "NaN", "Infinity"])("%s is not", (text) => {
  expect(() => loadConfig(z.object({ N: intSetting(1, 10) }), { N: text })).toThrow("N:");
});
