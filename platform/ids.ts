import { uuidv7obj } from "uuidv7";

/** `ord_<center>_<uuid>`: the center inside an id makes lookups unnecessary. */
export interface ParsedId {
  readonly prefix: string;
  readonly center: string;
  readonly uuid: string;
}

const ID =
  /^([a-z]{2,8})_([a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?)_([0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})$/;

/** Makes an id whose UUIDv7 (RFC 9562) sorts by time. */
export function newId(prefix: string, center: string): string {
  return `${prefix}_${center}_${uuidv7obj().toString()}`;
}

/** The parts of an id; undefined for anything that `newId` cannot have made. */
export function parseId(id: string): ParsedId | undefined {
  const match = ID.exec(id);
  if (!match?.[1] || !match[2] || !match[3]) return undefined;
  return { prefix: match[1], center: match[2], uuid: match[3] };
}

/** A plain UUIDv7, for events and rows that need no center. */
export function newUuid(): string {
  return uuidv7obj().toString();
}
