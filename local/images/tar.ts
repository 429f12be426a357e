import { createReadStream, readFileSync } from "node:fs";

/** One member of a tar archive. `path` is relative, without a trailing slash; everything belongs to root unless `uid` says otherwise. */
export type TarEntry = {
  readonly path: string;
  readonly mode: number;
  readonly uid?: number;
  readonly gid?: number;
} & (
  | { readonly kind: "directory" }
  | { readonly kind: "symlink"; readonly target: string }
  | { readonly kind: "file"; readonly content: Buffer }
  | { readonly kind: "file"; readonly source: string; readonly sizeBytes: number }
  | { readonly kind: "file"; readonly stream: () => AsyncIterable<Buffer>; readonly sizeBytes: number }
);

const BLOCK = 512;
const SMALL_FILE_BYTES = 1024 * 1024;
const NAME_BYTES = 100;
const PREFIX_BYTES = 155;
const TYPES = { file: "0", symlink: "2", directory: "5", pax: "x" } as const;

/**
 * A POSIX tar archive (ustar with pax headers, IEEE Std 1003.1) of the entries in the order given. The time of
 * every member is 0, so that the same entries always give the same bytes.
 */
export async function* tarStream(entries: Iterable<TarEntry>): AsyncGenerator<Buffer> {
  for (const entry of entries) {
    yield headersOf(entry);
    if (entry.kind !== "file") continue;
    yield* contentOf(entry);
    const rest = entrySize(entry) % BLOCK;
    if (rest > 0) yield Buffer.alloc(BLOCK - rest);
  }
  yield Buffer.alloc(2 * BLOCK);
}

/** Number of bytes that `tarStream` gives for these entries. */
export function tarSize(entries: Iterable<TarEntry>): number {
  let total = 2 * BLOCK;
  for (const entry of entries) total += headersOf(entry).length + padded(entrySize(entry));
  return total;
}

/** Bytes of content; 0 for anything but a file. */
export function entrySize(entry: TarEntry): number {
  if (entry.kind !== "file") return 0;
  return "content" in entry ? entry.content.length : entry.sizeBytes;
}

async function* contentOf(entry: TarEntry & { kind: "file" }): AsyncGenerator<Buffer> {
  if ("content" in entry) {
    yield entry.content;
    return;
  }
  let seen = 0;
  for await (const chunk of "stream" in entry ? entry.stream() : chunksOf(entry.source, entry.sizeBytes)) {
    seen += chunk.length;
    yield chunk;
  }
  // A member that is longer or shorter than its header says would shift everything after it.
  if (seen !== entry.sizeBytes)
    throw new Error(`${entry.path} has ${seen} bytes instead of ${entry.sizeBytes}: it changed meanwhile`);
}

function chunksOf(source: string, sizeBytes: number): AsyncIterable<Buffer> | Iterable<Buffer> {
  if (sizeBytes <= SMALL_FILE_BYTES) return [readFileSync(source)];
  return createReadStream(source, { highWaterMark: SMALL_FILE_BYTES }) as AsyncIterable<Buffer>;
}

function headersOf(entry: TarEntry): Buffer {
  const path = entry.kind === "directory" ? `${entry.path}/` : entry.path;
  const target = entry.kind === "symlink" ? entry.target : "";
  const split = splitPath(path);
  const records: string[] = [];
  if (!split) records.push(paxRecord("path", path));
  if (Buffer.byteLength(target) > NAME_BYTES) records.push(paxRecord("linkpath", target));
  const own = header({
    ...(split ?? { name: "long-name", prefix: "" }),
    target: Buffer.byteLength(target) > NAME_BYTES ? "long-target" : target,
    type: TYPES[entry.kind],
    mode: entry.mode,
    uid: entry.uid ?? 0,
    gid: entry.gid ?? 0,
    sizeBytes: entrySize(entry),
  });
  if (records.length === 0) return own;
  const body = Buffer.from(records.join(""));
  const plain = { prefix: "", target: "", mode: 0o644, uid: 0, gid: 0 };
  const pax = header({ ...plain, name: "pax-header", type: TYPES.pax, sizeBytes: body.length });
  return Buffer.concat([pax, body, Buffer.alloc(padded(body.length) - body.length), own]);
}

interface HeaderFields {
  readonly name: string;
  readonly prefix: string;
  readonly target: string;
  readonly type: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
}

function header(fields: HeaderFields): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, width: number) => {
    block.write(`${value.toString(8).padStart(width - 1, "0")}\0`, at, "latin1");
  };
  block.write(fields.name, 0);
  octal(fields.mode, 100, 8);
  octal(fields.uid, 108, 8);
  octal(fields.gid, 116, 8);
  octal(fields.sizeBytes, 124, 12);
  octal(0, 136, 12);
  block.write("        ", 148, "latin1");
  block.write(fields.type, 156, "latin1");
  block.write(fields.target, 157);
  block.write("ustar\u000000", 257, "latin1");
  block.write(fields.prefix, 345);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

/** The two fields that hold a path of up to 255 bytes; undefined when it fits neither whole nor cut at a slash. */
function splitPath(path: string): { name: string; prefix: string } | undefined {
  if (Buffer.byteLength(path) <= NAME_BYTES) return { name: path, prefix: "" };
  for (let cut = path.indexOf("/"); cut >= 0; cut = path.indexOf("/", cut + 1)) {
    const prefix = path.slice(0, cut);
    const name = path.slice(cut + 1);
    if (Buffer.byteLength(prefix) > PREFIX_BYTES) return undefined;
    if (name !== "" && Buffer.byteLength(name) <= NAME_BYTES) return { name, prefix };
  }
  return undefined;
}

/** `<length> key=value\n`, where the length counts its own digits. */
function paxRecord(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + String(rest).length;
  if (String(length).length !== String(rest).length) length = rest + String(length).length;
  return `${length} ${key}=${value}\n`;
}

function padded(bytes: number): number {
  return Math.ceil(bytes / BLOCK) * BLOCK;
}
