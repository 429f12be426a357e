import type { IncomingMessage } from "node:http";
import { type Failure, fail } from "../../platform/problem.ts";

/** The slices take no more either. */
export const MAX_BODY_BYTES = 256 * 1024;
const BODY_TIMEOUT_MS = 10_000;

/**
 * Reads a whole request body before anything goes to a cell, so that a client who sends slowly or breaks off costs that cell
 * neither a socket nor a failure.
 */
export function readBody(
  request: IncomingMessage,
  timeoutMs = BODY_TIMEOUT_MS,
): Promise<{ readonly ok: true; readonly raw: Buffer } | Failure> {
  const tooLarge = fail("payload-too-large", `A body may be ${MAX_BODY_BYTES / 1024} KiB at most.`);
  if (Number(request.headers["content-length"] ?? 0) > MAX_BODY_BYTES) return Promise.resolve(tooLarge);
  const brokenOff = fail("invalid-request", "The body broke off before its end; send it again.");
  // It may have gone while the user's token was checked; then no event will tell.
  if (request.destroyed && !request.complete) return Promise.resolve(brokenOff);
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const settle = (result: { ok: true; raw: Buffer } | Failure) => {
      clearTimeout(timer);
      request.off("data", take).off("end", finish).off("close", breakOff).off("error", breakOff);
      // Without a listener an error of the socket would end the process.
      if (!result.ok) request.on("error", () => {}).resume();
      resolve(result);
    };
    const take = (chunk: Buffer) => {
      length += chunk.length;
      if (length > MAX_BODY_BYTES) return settle(tooLarge);
      chunks.push(chunk);
    };
    const finish = () => settle({ ok: true, raw: Buffer.concat(chunks) });
    const breakOff = () => settle(brokenOff);
    const timer = setTimeout(
      () =>
        settle(
          fail("invalid-request", `The body did not arrive within ${timeoutMs / 1000} s; send it again.`),
        ),
      timeoutMs,
    );
    request.on("data", take).once("end", finish).once("close", breakOff).once("error", breakOff);
  });
}
