import { describe, expect, it } from "vitest";
import { sslOptions, tlsModeOfUrl } from "./sqltls.ts";

describe("what the driver is told", () => {
  it("is plain only when asked for", () => {
    expect(sslOptions(undefined, "db")).toBe(false);
    expect(sslOptions({ mode: "Disable", ca: "pem" }, "db")).toBe(false);
  });
  it("trusts anybody with Require alone", () => {
    const modes = (["Require", "VerifyCA", "VerifyFull"] as const).map((mode) => sslOptions({ mode }, "db"));
    expect(modes.map((options) => options !== false && options.rejectUnauthorized)).toEqual([
      false,
      undefined,
      undefined,
    ]);
  });
  it("passes over the name with VerifyCA, and checks it with VerifyFull, addresses too", () => {
    const byAuthority = sslOptions({ mode: "VerifyCA", ca: "pem" }, "10.0.0.5");
    const byName = sslOptions({ mode: "VerifyFull", ca: "pem" }, "10.0.0.5");
    if (byAuthority === false || byName === false) throw new Error("both are encrypted");
    expect(byAuthority.ca).toBe("pem");
    expect(byAuthority.checkServerIdentity?.("other", {} as never)).toBeUndefined();
    expect(byName).toEqual({ ca: "pem", host: "10.0.0.5" });
  });
  it("takes the system's authorities where none is given", () => {
    for (const ca of [undefined, ""])
      expect(sslOptions({ mode: "VerifyFull", ca }, "db")).toEqual({ host: "db" });
  });
});

it.each([
  ["postgres://u:p@db/x", undefined],
  ["postgres://u:p@db/x?sslmode=disable", "Disable"],
  ["postgres://u:p@db/x?sslmode=require", "Require"],
  ["postgres://u:p@db/x?sslmode=verify-ca", "VerifyCA"],
  ["postgres://u:p@db/x?sslmode=verify-full", "VerifyFull"],
  ["postgres://u:p@db/x?sslmode=prefer", undefined],
])("%s asks for %s", (url, mode) => {
  expect(tlsModeOfUrl(url)).toBe(mode);
});
