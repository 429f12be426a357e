/** Why a local cluster could not be started, used or removed. */
export type ClusterErrorCode =
  | "bad-index"
  | "busy"
  | "address-taken"
  | "build-failed"
  | "command-failed"
  | "component-exited"
  | "interrupted"
  | "not-ready"
  | "not-running"
  | "not-removed"
  | "tool-missing";

/**
 * A failure that the person at the keyboard can do something about. The message is whole sentences: what
 * went wrong, where to look, what to do next. Starting a cluster is a deep tree of steps that all end in the same
 * way (clean up, say why, exit 1), so it is thrown and not returned.
 */
export class ClusterError extends Error {
  readonly code: ClusterErrorCode;

  constructor(code: ClusterErrorCode, message: string) {
    super(message);
    this.name = "ClusterError";
    this.code = code;
  }
}

/** The part of a thrown value that a person can read. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The failure of whatever was running when a person or a deadline said stop. */
export function interrupted(): ClusterError {
  return new ClusterError("interrupted", "Interrupted: what had been started is removed again.");
}
