import { parseAllDocuments, stringify } from "yaml";

/** YAML text of one document: keys in the order given, long lines unbroken, no anchors. */
export function toYaml(document: unknown): string {
  return stringify(document, { lineWidth: 0, aliasDuplicateObjects: false });
}

/** Every document of a YAML text; throws with the parser's sentence, line and column when the text is not YAML. */
export function parseYaml(text: string): unknown[] {
  const documents = parseAllDocuments(text);
  if (!Array.isArray(documents)) return [];
  return documents.map((document) => {
    const [first] = document.errors;
    if (first !== undefined) throw new Error(first.message);
    return document.toJS({ maxAliasCount: 100 }) as unknown;
  });
}
