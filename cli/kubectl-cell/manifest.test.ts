import { describe, expect, it } from "vitest";
import { parseManifests } from "./manifest.ts";

const CENTER = `apiVersion: cells.fulfillment.io/v1alpha1
kind: FulfillmentCenter
metadata: { name: seoul-mapo }
spec: { region: kr-seoul }
`;
const names = (text: string) => parseManifests(text, "fc.yaml").centers.map(({ metadata }) => metadata.name);

describe("a file", () => {
  it("may have several documents, a List, and other kinds beside", () => {
    const config = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: notes }\n";
    const text = `---\n${CENTER}---\n${config}---\n${CENTER.replace("seoul-mapo", "seoul-jung")}`;
    expect(parseManifests(text, "fc.yaml").others).toEqual(["ConfigMap/notes"]);
    expect(names(text)).toEqual(["seoul-mapo", "seoul-jung"]);
    const item = {
      apiVersion: "cells.fulfillment.io/v1alpha1",
      kind: "FulfillmentCenter",
      metadata: { name: "a" },
    };
    expect(names(JSON.stringify({ kind: "List", metadata: {}, items: [item] }))).toEqual(["a"]);
  });

  it.each([
    ["no YAML", "a: b\n c: d\n", /^fc.yaml is not valid YAML: .* line 1, column 4/],
    ["a text", "hello", /no Kubernetes object/],
    ["nothing", "", /has no FulfillmentCenter: give the file/],
    ["other kinds only", "apiVersion: v1\nkind: Secret\nmetadata: { name: x }", /\(only Secret\/x\)/],
    ["an unknown version", CENTER.replace("v1alpha1", "v9"), /has apiVersion cells.fulfillment.io\/v9/],
    ["no name", CENTER.replace("name: seoul-mapo", "labels: {}"), /has no metadata.name/],
    ["a name twice", `${CENTER}---\n${CENTER}`, /FulfillmentCenter seoul-mapo twice/],
    ["a bad second document", `${CENTER}---\njust: text`, /^Document 2 of fc.yaml is no Kubernetes object/],
  ])("with %s is refused in a sentence", (_title, text, sentence) => {
    expect(() => parseManifests(text, "fc.yaml")).toThrow(sentence);
  });
});
