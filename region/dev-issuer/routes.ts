import { z } from "zod";
import { defineRoute, ok, type Route } from "../../platform/http.ts";
import type { PrivateKey } from "../../platform/trust.ts";
import { USER_ROLES, type UserTokenIssuer } from "../../platform/usertoken.ts";

const tokenBody = z.object({
  sub: z.string().min(1).max(128),
  roles: z.array(z.enum(USER_ROLES)).min(1).max(4).default(["customer"]),
  /** Where the roles of staff, pickers and couriers count; `*` is everywhere. */
  centers: z.array(z.string().min(1).max(40)).max(64).default([]),
  ttlSeconds: z.int().min(1).max(86_400).default(3_600),
});
const tokenAnswer = z.object({
  access_token: z.string(),
  token_type: z.literal("Bearer"),
  expires_in: z.int(),
});

/** A token for the asking, and the key that it is checked with. */
export function createRoutes(issuer: UserTokenIssuer, publicJwk: PrivateKey): Route[] {
  return [
    defineRoute({
      method: "POST",
      path: "/token",
      summary: "Issues a token for any user with any roles.",
      access: "public",
      idempotency: "none",
      body: tokenBody as z.ZodType<z.output<typeof tokenBody>>,
      responses: { 200: tokenAnswer },
      async handler({ body }) {
        const token = await issuer.issue(body, body.ttlSeconds);
        return ok({ access_token: token, token_type: "Bearer", expires_in: body.ttlSeconds });
      },
    }),
    defineRoute({
      method: "GET",
      path: "/jwks.json",
      summary: "The public key set.",
      access: "public",
      responses: { 200: z.object({ keys: z.array(z.record(z.string(), z.unknown())) }) },
      handler: async () => ok({ keys: [publicJwk] }),
    }),
  ];
}
