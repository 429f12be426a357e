import type { Answer } from "../../../platform/fetch.ts";
import type { Failure } from "../../../platform/problem.ts";
import { startTestCell, type TestCell } from "../../../platform/testing/cell.ts";
import { eventually } from "../../../platform/testing/stores.ts";
import { startTestPsp, type TestPsp } from "../../../region/psp-sandbox/testing/psp.ts";
import type { IntentAnswer, IntentStatus } from "../contract.ts";
import { paymentsSlice } from "../slice.ts";

/** A running payments slice with a real processor behind it. */
export interface TestPayments {
  readonly cell: TestCell;
  readonly psp: TestPsp;
  post(path: string, body?: unknown): Promise<Answer<IntentAnswer> | Failure>;
  authorize(intentId: string, amountMinor?: number, more?: object): Promise<Answer<IntentAnswer> | Failure>;
  intent(intentId: string): Promise<IntentAnswer>;
  /** Waits until the intent has this status. */
  until(intentId: string, status: IntentStatus): Promise<IntentAnswer>;
  stop(): Promise<void>;
}

/** An amount in the test center's currency. */
export function won(amountMinor: number): { amountMinor: number; currency: string } {
  return { amountMinor, currency: "KRW" };
}

/** Starts a cell with only the payments slice. */
export async function startPayments(): Promise<TestPayments> {
  const psp = await startTestPsp();
  const cell = await startTestCell({ slices: [paymentsSlice], env: { PSP_URL: psp.url } });
  const { payments } = cell.internal;
  const post: TestPayments["post"] = (path, body = {}) => payments.call({ method: "POST", path, body });

  async function intent(intentId: string): Promise<IntentAnswer> {
    const answer = await payments.call<IntentAnswer>({
      method: "GET",
      path: `/internal/intents/${intentId}`,
    });
    if (!answer.ok) throw new Error(`${answer.code}: ${answer.detail}`);
    return answer.body;
  }

  return {
    cell,
    psp,
    post,
    intent,
    authorize: (intentId, amountMinor = 1_000, more = {}) =>
      post("/internal/intents", {
        intentId,
        orderId: `ord-${intentId}`,
        amount: won(amountMinor),
        method: "tok_visa",
        ...more,
      }),
    until: (intentId, status) =>
      eventually(async () => {
        const found = await intent(intentId);
        return found.status === status && found;
      }),
    async stop() {
      await cell.stop();
      await psp.stop();
    },
  };
}
