import * as z from "zod";

/** A CEL rule and the sentence that the API server answers when it does not hold. */
export interface Rule {
  readonly rule: string;
  readonly message: string;
}

/** Schema metadata that the CRD generator passes through as `x-kubernetes-validations`. */
export function rules(...list: Rule[]): Record<string, unknown> {
  return { "x-kubernetes-validations": list };
}

/** A list that server-side apply merges by `key`, and in which a key occurs once. */
export function listKeyedBy(key: string): Record<string, unknown> {
  return { "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key] };
}

/** RFC 1123 label of at most `max` characters. */
export function dnsLabel(what: string, max: number, ...more: Rule[]) {
  return z
    .string()
    .min(1)
    .max(max)
    .meta(
      rules(
        {
          rule: "self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')",
          message: `${what} is lower-case letters, digits and '-', and starts and ends with a letter or digit`,
        },
        ...more,
      ),
    );
}

/** Degrees as a decimal string: the API conventions allow no floats. */
export function degrees(what: "latitude" | "longitude", limit: number, example: string) {
  const shape = "'^-?[0-9]{1,3}([.][0-9]{1,7})?$'";
  return z
    .string()
    .max(12)
    .meta({
      description: `${what} in degrees (WGS 84) as a decimal string`,
      ...rules({
        rule: `self.matches(${shape}) && double(self) >= -${limit}.0 && double(self) <= ${limit}.0`,
        message: `${what} is a decimal string between -${limit} and ${limit} with at most 7 decimals, for example "${example}"`,
      }),
    });
}

/** Storage or memory: a whole number with a binary suffix. */
export function binaryQuantity(what: string, example: string, ...more: Rule[]) {
  return z
    .string()
    .max(12)
    .meta(
      rules(
        {
          rule: "self.matches('^[1-9][0-9]{0,5}(Mi|Gi|Ti)$')",
          message: `${what} is a whole number followed by Mi, Gi or Ti, for example ${example}`,
        },
        ...more,
      ),
    );
}

/** CPU: millicores ("50m") or whole cores ("2"). */
export function cpuQuantity() {
  return z
    .string()
    .max(8)
    .meta(
      rules({
        rule: "self.matches('^([1-9][0-9]{0,5}m|[1-9][0-9]{0,2})$')",
        message: "cpu is millicores or whole cores, for example 50m or 2",
      }),
    );
}
