import { describe, expect, it } from "vitest";
import { handedOver } from "./ownership.ts";

const entry = (manager: string, operation: string, fieldsV1: object, more: object = {}) => ({
  manager,
  operation,
  fieldsType: "FieldsV1",
  fieldsV1,
  ...more,
});

describe("handing over", () => {
  it("makes what we created ours to apply, and leaves the others alone", () => {
    const theirs = entry("kubectl", "Update", { "f:spec": { "f:b": {} } });
    const status = entry("us", "Update", { "f:status": {} }, { subresource: "status" });
    const ours = entry("us", "Update", { "f:spec": { "f:a": {} } });
    expect(handedOver([theirs, ours, status], "us")).toEqual([
      theirs,
      status,
      entry("us", "Apply", { "f:spec": { "f:a": {} } }),
    ]);
  });

  it("joins what we created with what we applied since", () => {
    const created = entry("us", "Update", {
      "f:spec": { "f:a": {}, "f:list": { 'k:{"name":"x"}': { ".": {} } } },
    });
    const applied = entry("us", "Apply", {
      "f:spec": { "f:b": {}, "f:list": { 'k:{"name":"y"}': { ".": {} } } },
    });
    expect(handedOver([created, applied], "us")).toEqual([
      entry("us", "Apply", {
        "f:spec": {
          "f:a": {},
          "f:b": {},
          "f:list": { 'k:{"name":"x"}': { ".": {} }, 'k:{"name":"y"}': { ".": {} } },
        },
      }),
    ]);
  });

  it("has nothing to do where we have only applied, or written nothing", () => {
    expect(handedOver([entry("us", "Apply", {}), entry("them", "Update", {})], "us")).toBeUndefined();
    expect(handedOver([], "us")).toBeUndefined();
  });
});
