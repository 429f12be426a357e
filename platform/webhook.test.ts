import { expect, test } from "vitest";
import { signWebhook, verifyWebhook } from "./webhook.ts";

const SECRET = "whsec_0123456789";
const BODY = '{"id":"evt_1","amount":1000}';
const AT = 1_800_000_000;
const signed = signWebhook(SECRET, BODY, AT);
const judge = (change: Partial<Parameters<typeof verifyWebhook>[0]> = {}) =>
  verifyWebhook({ secrets: [SECRET], header: signed, body: BODY, nowSeconds: AT, ...change });

test("a signature has the form and the value that others compute too", () => {
  // echo -n '1800000000.{"id":"evt_1","amount":1000}' | openssl dgst -sha256 -hmac whsec_0123456789
  expect(signed).toBe("t=1800000000,v1=be96959dad0af9c50da19f53c300d094186377e1fb707e1a51b58ac699e414aa");
});

test.each([
  ["as it was sent", {}, "good"],
  ["with the next secret beside it", { secrets: ["whsec_next", SECRET] }, "good"],
  ["signed by two, of which one is known", { header: `${signed},v1=${"0".repeat(64)}` }, "good"],
  ["five minutes late", { nowSeconds: AT + 300 }, "good"],
  ["later than that", { nowSeconds: AT + 301 }, "stale"],
  ["from the future", { nowSeconds: AT - 301 }, "stale"],
  ["with another body", { body: BODY.replace("1000", "1001") }, "forged"],
  ["with another secret", { secrets: ["whsec_other"] }, "forged"],
  ["with no secret known", { secrets: [] }, "forged"],
  [
    "with its time changed",
    { header: signed.replace("t=18", "t=19"), nowSeconds: AT + 100_000_000 },
    "forged",
  ],
  ["old and of another secret", { secrets: ["whsec_other"], nowSeconds: AT + 9_999 }, "forged"],
  ["without a header", { header: undefined }, "missing"],
  ["without a time", { header: signed.slice(signed.indexOf("v1")) }, "missing"],
  ["with two times", { header: `t=1,${signed}` }, "missing"],
  ["with half a signature", { header: signed.slice(0, -1) }, "missing"],
  [
    "with a signature more than anybody needs",
    { header: `${signed}${`,v1=${"0".repeat(64)}`.repeat(4)}` },
    "missing",
  ],
  ["with an endless header", { header: `${signed},${"x".repeat(2_000)}` }, "missing"],
] as const)("a webhook %s", (_what, change, verdict) => {
  expect(judge(change)).toBe(verdict);
});
