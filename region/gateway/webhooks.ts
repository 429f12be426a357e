import type { IncomingMessage, ServerResponse } from "node:http";
import { fail } from "../../platform/problem.ts";
import { SIGNATURE_HEADER } from "../../platform/webhook.ts";
import { sendFailure } from "./answers.ts";
import type { GatewayDeps } from "./deps.ts";
import type { WebhookDestination } from "./domain.ts";
import { relay } from "./relay.ts";

/** One webhook on its way in. */
export type WebhookEntry = (exchange: {
  readonly deps: GatewayDeps;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly destination: WebhookDestination;
}) => Promise<void>;

/** Anybody can call here, so a flood takes this much of a gateway and no more; the processor sends again what was refused. */
const MAX_IN_FLIGHT = 32;

/** Lets webhooks in without a user's token: the cell looks at nothing but the signature over the body. */
export function createWebhookEntry(): WebhookEntry {
  let inFlight = 0;
  return async ({ deps, request, response, destination }) => {
    if (request.headers[SIGNATURE_HEADER] === undefined) {
      const unsigned = fail(
        "unauthenticated",
        `Sign the body in ${SIGNATURE_HEADER} with the secret of this center.`,
      );
      return sendFailure(deps, response, unsigned, request);
    }
    if (inFlight >= MAX_IN_FLIGHT)
      return sendFailure(
        deps,
        response,
        fail("overloaded", "Too many webhooks at once; send it again."),
        request,
      );
    inFlight++;
    response.once("close", () => inFlight--);
    // What stands behind the path is none of the cell's business.
    await relay({ deps, request, response, destination }, "", undefined);
  };
}
