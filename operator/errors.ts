/** Why a step of a cell cannot go on. Steps return these; only status.ts turns them into conditions. */
export type StepState =
  | { readonly kind: "done"; readonly reason: string; readonly message: string }
  /** Something is on its way; nobody has to act. */
  | { readonly kind: "waiting"; readonly reason: string; readonly message: string; readonly afterMs?: number }
  /** Repeating cannot help: a person has to act, and the message says how. */
  | { readonly kind: "stalled"; readonly reason: string; readonly message: string }
  /** Nothing can be known yet. */
  | { readonly kind: "unknown"; readonly reason: string; readonly message: string };

export function done(reason: string, message: string): StepState {
  return { kind: "done", reason, message };
}

export function waiting(reason: string, message: string, afterMs?: number): StepState {
  return { kind: "waiting", reason, message, ...(afterMs === undefined ? {} : { afterMs }) };
}

export function stalled(reason: string, message: string): StepState {
  return { kind: "stalled", reason, message };
}

export function unknown(reason: string, message: string): StepState {
  return { kind: "unknown", reason, message };
}

/** A sentence of at most 400 characters that ends with a full stop. */
export function trimmed(text: string): string {
  const short = text.trim().slice(0, 400);
  return /[.!?]$/.test(short) ? short : `${short}.`;
}
