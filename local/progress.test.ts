import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { createProgress, formatDuration } from "./progress.ts";

function setUp({ isTTY = false, json = false, columns = 60 } = {}) {
  let nowMs = 0;
  const written: string[] = [];
  const stream = { isTTY, columns, write: (text: string) => written.push(text) };
  const progress = createProgress({ json, stream, now: () => nowMs });
  return { progress, text: () => written.join(""), pass: (ms: number) => (nowMs += ms) };
}

/** What a terminal of any height shows after these writes: cursor up and erase below are the only movements used. */
function screen(text: string): string[] {
  const lines: string[] = [];
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character is what a terminal is steered with
  for (const part of text.split(/(\u001b\[\d+A\u001b\[0J)/)) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: see above
    const up = /^\u001b\[(\d+)A/.exec(part);
    if (up) lines.splice(lines.length - Number(up[1]));
    else lines.push(...part.split("\n").slice(0, -1));
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: see above
  return lines.map((line) => line.replaceAll(/\u001b\[\d+m/g, ""));
}

describe("formatDuration", () => {
  it.each([
    [0, "0 ms"],
    [999, "999 ms"],
    [1_000, "1.0 s"],
    [99_940, "99.9 s"],
    [99_960, "1 min 40 s"],
    [200_000, "3 min 20 s"],
  ])("%d ms is %s", (durationMs, text) => expect(formatDuration(durationMs)).toBe(text));
});

describe("without a terminal", () => {
  it("tells start, reason, notes, end and the total as plain lines", async () => {
    const { progress, text, pass } = setUp();
    await progress.step("Build", "once per machine", async () => {
      pass(1_500);
      progress.note("half  of\nit");
      pass(1_000);
    });
    progress.done("Ready.");
    expect(text()).toBe(
      "[   0.0 s] Build (once per machine) ...\n[   1.5 s]   Build: half of it\n" +
        "[   2.5 s] Build: done after 2.5 s\n[   2.5 s] Ready. Total 2.5 s.\n",
    );
  });

  it("gives a note to the step whose code wrote it, also when steps run side by side", async () => {
    const { progress, text } = setUp();
    const work = (title: string) =>
      progress.step(title, "", async () => {
        await sleep(1);
        progress.note(`note of ${title}`);
      });
    await Promise.all([work("a"), work("b")]);
    expect(text()).toContain("  a: note of a\n");
    expect(text()).toContain("  b: note of b\n");
  });

  it("passes a failure on, marks the step and goes on with the next", async () => {
    const { progress, text, pass } = setUp();
    const failing = progress.step("Build", "x", async () => {
      pass(10);
      throw new Error("no compiler");
    });
    await expect(failing).rejects.toThrow("no compiler");
    expect(text()).toContain("Build: failed after 10 ms\n");
    expect(await progress.step("Next", "x", async () => 7)).toBe(7);
    expect(progress.timings().map(({ title, ok }) => [title, ok])).toEqual([
      ["Build", false],
      ["Next", true],
    ]);
  });

  it("knows which step runs inside which", async () => {
    const { progress } = setUp();
    await progress.step("outer", "", () => progress.step("inner", "", async () => {}));
    expect(progress.timings().map(({ title, depth }) => [title, depth])).toEqual([
      ["inner", 1],
      ["outer", 0],
    ]);
  });
});

describe("on a terminal", () => {
  it("keeps finished steps and redraws the running ones below them", async () => {
    const { progress, text, pass } = setUp({ isTTY: true });
    let endSlow = () => {};
    const slow = progress.step("slow", "needed", () => new Promise<void>((resolve) => (endSlow = resolve)));
    await progress.step("quick", "also", async () => pass(50));
    progress.line("a result");
    expect(screen(text())).toEqual(["✔ quick 50 ms", "a result", "⠋ slow 50 ms  needed"]);
    endSlow();
    await slow;
    progress.done("All good.");
    expect(screen(text())).toEqual(["✔ quick 50 ms", "a result", "✔ slow 50 ms", "✔ All good. total 50 ms"]);
  });

  it("cuts a running line to the width, because a wrapped one could not be erased", async () => {
    const { progress, text } = setUp({ isTTY: true, columns: 30 });
    await progress.step("x".repeat(80), "y", async () => {
      const [line] = screen(text());
      expect([...(line ?? "")]).toHaveLength(29);
    });
  });

  it("shows what went wrong as the last line and leaves no running step behind", async () => {
    const { progress, text } = setUp({ isTTY: true });
    void progress.step("never ends", "", () => new Promise<void>(() => {}));
    progress.fail("The disk is full.");
    expect(screen(text())).toEqual(["✘ The disk is full."]);
  });
});

it("writes one JSON object per line on demand", async () => {
  const { progress, text } = setUp({ isTTY: true, json: true });
  await progress.step("Build", "why", async () => progress.note("n"));
  progress.done("end");
  const events = text()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { event: string });
  expect(events.map(({ event }) => event)).toEqual(["started", "note", "finished", "done"]);
  expect(events[0]).toEqual({ atMs: 0, event: "started", title: "Build", why: "why", depth: 0 });
});
