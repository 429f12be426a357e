export interface TestStores {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly kafkaBrokers: string;
}

/** Addresses of the real stores that the test run has started; throws with what to do when there are none. */
export function testStores(): TestStores {
  const { TEST_DATABASE_URL, TEST_REDIS_URL, TEST_KAFKA_BROKERS } = process.env;
  if (!TEST_DATABASE_URL || !TEST_REDIS_URL || !TEST_KAFKA_BROKERS)
    throw new Error("no stores to test against: run `npm run test:integration`, which starts them");
  return { databaseUrl: TEST_DATABASE_URL, redisUrl: TEST_REDIS_URL, kafkaBrokers: TEST_KAFKA_BROKERS };
}

/** Waits until `probe` gives something truthy; throws what was last seen when `timeoutMs` have passed. */
export async function eventually<T>(
  probe: () => Promise<T | undefined | false>,
  timeoutMs = 30_000,
  intervalMs = 50,
): Promise<T> {
  const untilMs = Date.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await probe();
      if (value) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    if (Date.now() > untilMs)
      throw new Error(`still not so after ${timeoutMs} ms; last seen: ${String(last)}`);
    await new Promise((resolve) => setTimeout(resolve, intervalMs));
  }
}
