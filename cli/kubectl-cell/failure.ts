import type { KubeFailure } from "../../platform/kube/failures.ts";

/** Something that the user can put right; the message is one sentence that says how. Printed without a stack. */
export class CommandError extends Error {}

/** The sentence for a call that failed, with what to do next. `what` is the attempt: "read FulfillmentCenter x". */
export function explain(failure: KubeFailure, what: string, server: string): string {
  const said = failure.message.replace(/\.$/, "");
  switch (failure.code) {
    case "unavailable":
    case "timeout":
      return failure.status === undefined
        ? `The API server ${server} cannot be reached (${said}): check --context and the kubeconfig.`
        : `The API server could not ${what} (${said}): try again.`;
    case "unauthorized":
      return `The API server ${server} does not accept the credentials of the kubeconfig: log in again, or choose another --context.`;
    case "forbidden":
      return `You may not ${what} (${said}): ask for the ClusterRole fulfillment-cells-viewer to read, or an editor's rights to write.`;
    default:
      return `The API server could not ${what}: ${said}.`;
  }
}
