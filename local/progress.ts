import { AsyncLocalStorage } from "node:async_hooks";
import type { Report } from "./cluster/report.ts";

/** The part of a terminal that is needed; process.stderr has it. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export interface ProgressOptions {
  /** One JSON object per line instead of text. */
  readonly json?: boolean;
  readonly stream: ProgressStream;
  /** Milliseconds on a clock that only goes forward. */
  readonly now?: () => number;
}

/** How long one step took, for the summary of a run. */
export interface StepTiming {
  readonly title: string;
  readonly startedMs: number;
  readonly tookMs: number;
  readonly ok: boolean;
  /** 0 for a step that no other step has started. */
  readonly depth: number;
}

/** Shows what a long run is doing. Steps may run side by side and inside each other. */
export interface Progress extends Report {
  /** A line that stays, for example a result. */
  line(text: string): void;
  /** Ends the display with a line that holds the total time. */
  done(text: string): void;
  /** Ends the display with what went wrong. */
  fail(message: string): void;
  elapsedMs(): number;
  /** Finished steps in the order in which they ended; at most 1,000. */
  timings(): readonly StepTiming[];
}

interface Running {
  readonly title: string;
  readonly why: string;
  readonly startedMs: number;
  readonly depth: number;
  note: string;
  toldMs: number;
}

const SPINNER = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const REDRAW_MS = 120;
/** Without a terminal a step that is silent for this long says that it is still at work. */
const HEARTBEAT_MS = 30_000;
const MAX_TIMINGS = 1_000;
const MAX_NOTE_CHARS = 400;

/** Live lines on a terminal, plain lines with the time in a pipe, JSON lines on demand. */
export function createProgress(options: ProgressOptions): Progress {
  const now = options.now ?? (() => performance.now());
  const bornMs = now();
  const elapsedMs = () => now() - bornMs;
  const view = createView(options, elapsedMs);
  const current = new AsyncLocalStorage<Running>();
  const running = new Set<Running>();
  const timings: StepTiming[] = [];
  let timer: NodeJS.Timeout | undefined;

  const step = async <T>(title: string, why: string, run: () => Promise<T>): Promise<T> => {
    const parent = current.getStore();
    const startedMs = elapsedMs();
    const depth = parent ? parent.depth + 1 : 0;
    const self: Running = { title, why, startedMs, depth, note: "", toldMs: startedMs };
    running.add(self);
    view.started(self, running);
    timer ??= setInterval(() => view.tick(running), REDRAW_MS).unref();
    const finish = (ok: boolean) => {
      running.delete(self);
      const timing = { title, startedMs, tookMs: elapsedMs() - startedMs, ok, depth };
      if (timings.length < MAX_TIMINGS) timings.push(timing);
      view.finished(timing, running);
      if (running.size === 0) {
        clearInterval(timer);
        timer = undefined;
      }
    };
    try {
      const result = await current.run(self, run);
      finish(true);
      return result;
    } catch (error) {
      finish(false);
      throw error;
    }
  };

  const note = (text: string) => {
    // The note belongs to the step whose code wrote it, also when several run side by side.
    const owner = current.getStore() ?? [...running].at(-1);
    const short = text.replaceAll(/\s+/g, " ").trim().slice(0, MAX_NOTE_CHARS);
    if (owner) Object.assign(owner, { note: short, toldMs: elapsedMs() });
    view.noted(owner, short, running);
  };

  const end = (kind: "done" | "fail", text: string) => {
    clearInterval(timer);
    timer = undefined;
    running.clear();
    view.ended(kind, text);
  };
  return {
    step,
    note,
    line: (text) => view.line(text, running),
    done: (text) => end("done", text),
    fail: (message) => end("fail", message),
    elapsedMs,
    timings: () => timings,
  };
}

/** `950 ms`, `12.3 s`, `3 min 20 s`. */
export function formatDuration(durationMs: number): string {
  if (durationMs < 1_000) return `${Math.round(durationMs)} ms`;
  if (durationMs < 99_950) return `${(durationMs / 1_000).toFixed(1)} s`;
  const seconds = Math.round(durationMs / 1_000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** How the events of a run become text. `tick` is called while at least one step runs. */
interface View {
  started(step: Running, running: ReadonlySet<Running>): void;
  finished(timing: StepTiming, running: ReadonlySet<Running>): void;
  noted(step: Running | undefined, text: string, running: ReadonlySet<Running>): void;
  line(text: string, running: ReadonlySet<Running>): void;
  tick(running: ReadonlySet<Running>): void;
  ended(kind: "done" | "fail", text: string): void;
}

function createView({ json, stream }: ProgressOptions, elapsedMs: () => number): View {
  if (json) return jsonView(stream, elapsedMs);
  return stream.isTTY ? terminalView(stream, elapsedMs) : plainView(stream, elapsedMs);
}

function jsonView(stream: ProgressStream, elapsedMs: () => number): View {
  const put = (event: string, fields: Record<string, unknown>) =>
    stream.write(`${JSON.stringify({ atMs: Math.round(elapsedMs()), event, ...fields })}\n`);
  return {
    started: ({ title, why, depth }) => put("started", { title, why, depth }),
    finished: ({ title, tookMs, ok }) => put("finished", { title, tookMs: Math.round(tookMs), ok }),
    noted: (step, text) => put("note", { title: step?.title, text }),
    line: (text) => put("line", { text }),
    tick: () => {},
    ended: (kind, text) => put(kind, { text }),
  };
}

function plainView(stream: ProgressStream, elapsedMs: () => number): View {
  const put = (text: string) => stream.write(`[${(elapsedMs() / 1_000).toFixed(1).padStart(6)} s] ${text}\n`);
  const pad = (depth: number) => "  ".repeat(depth);
  return {
    started: ({ title, why, depth }) => put(`${pad(depth)}${title} (${why}) ...`),
    finished: ({ title, tookMs, ok, depth }) =>
      put(`${pad(depth)}${title}: ${ok ? "done" : "failed"} after ${formatDuration(tookMs)}`),
    noted: (step, text) => put(step ? `${pad(step.depth)}  ${step.title}: ${text}` : text),
    line: (text) => put(text),
    tick: (running) => {
      for (const step of running) {
        if (elapsedMs() - step.toldMs < HEARTBEAT_MS) continue;
        step.toldMs = elapsedMs();
        const note = step.note ? `, ${step.note}` : "";
        put(
          `${pad(step.depth)}${step.title}: at work for ${formatDuration(elapsedMs() - step.startedMs)}${note}`,
        );
      }
    },
    ended: (kind, text) => put(kind === "done" ? `${text} Total ${formatDuration(elapsedMs())}.` : text),
  };
}

const ESC = "\u001b[";
const paint = (code: number, text: string) => `${ESC}${code}m${text}${ESC}0m`;

function terminalView(stream: ProgressStream, elapsedMs: () => number): View {
  let drawn = 0;
  let frame = 0;
  const clip = (text: string) => {
    const width = Math.max(20, (stream.columns || 80) - 1);
    const letters = [...text];
    return letters.length <= width ? text : `${letters.slice(0, width - 1).join("")}…`;
  };
  /** Writes lines that stay above the running steps, then the running steps. */
  const draw = (lasting: readonly string[], running: ReadonlySet<Running>) => {
    const live = [...running].map((step) => {
      const about = step.note || step.why;
      const took = formatDuration(elapsedMs() - step.startedMs);
      return clip(
        `${"  ".repeat(step.depth)}${SPINNER[frame % SPINNER.length]} ${step.title} ${took}  ${about}`,
      );
    });
    const erase = drawn > 0 ? `${ESC}${drawn}A${ESC}0J` : "";
    stream.write(erase + [...lasting, ...live].map((line) => `${line}\n`).join(""));
    drawn = live.length;
  };
  const nothing: ReadonlySet<Running> = new Set();
  return {
    started: (_step, running) => draw([], running),
    finished: ({ title, tookMs, ok, depth }, running) => {
      const mark = ok ? paint(32, "✔") : paint(31, "✘");
      draw([`${"  ".repeat(depth)}${mark} ${title} ${paint(2, formatDuration(tookMs))}`], running);
    },
    noted: (step, text, running) => draw(step ? [] : [text], running),
    line: (text, running) => draw([text], running),
    tick: (running) => {
      frame += 1;
      draw([], running);
    },
    ended: (kind, text) => {
      const total = formatDuration(elapsedMs());
      draw(
        [
          kind === "done"
            ? `${paint(32, "✔")} ${text} ${paint(2, `total ${total}`)}`
            : `${paint(31, "✘")} ${text}`,
        ],
        nothing,
      );
    },
  };
}
