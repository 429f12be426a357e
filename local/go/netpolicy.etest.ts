import { join } from "node:path";
import { expect, it } from "vitest";
import { tryRun } from "../cluster/command.ts";

it("turns policies into the right rules of the packet filter", async () => {
  // The flags with which the program is built: what was compiled for it is not compiled again.
  const argv = ["go", "test", "-mod=readonly", "-trimpath", "-vet=off", "-v", "."];
  const env = { ...process.env, CGO_ENABLED: "0", GOWORK: "off", GOFLAGS: "-buildvcs=false" };
  const cwd = join(import.meta.dirname, "netpolicy");
  const result = await tryRun(argv, { cwd, env, timeoutMs: 280_000 });
  expect(result.stdout + result.stderr).toContain("--- PASS: TestPeersAndPorts");
  expect(result.exitCode).toBe(0);
}, 300_000);
