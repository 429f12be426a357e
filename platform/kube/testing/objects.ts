import type { KubeObject, ResourceRef } from "../objects.ts";

/** A kind for tests, namespaced, with a status subresource. */
export const WIDGET: ResourceRef = {
  group: "tests.fulfillment.io",
  version: "v1",
  plural: "widgets",
  kind: "Widget",
  namespaced: true,
};

export interface Widget extends KubeObject {
  spec?: { size?: number; color?: string };
  status?: { ready?: boolean };
}

/** A widget in namespace "shop". */
export function widget(name: string, spec: Widget["spec"] = {}, labels?: Record<string, string>): Widget {
  return {
    apiVersion: "tests.fulfillment.io/v1",
    kind: "Widget",
    metadata: { name, namespace: "shop", ...(labels === undefined ? {} : { labels }) },
    spec,
  };
}

/** The same widget as a watch would show it at a version. */
export function widgetAt(name: string, version: number, spec: Widget["spec"] = {}): Widget {
  const made = widget(name, spec);
  return { ...made, metadata: { ...made.metadata, uid: `uid-${name}`, resourceVersion: String(version) } };
}
