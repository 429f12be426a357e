/** A line that would grow past the bound: the stream is not what we think it is. */
export class LineTooLongError extends Error {}

const NEWLINE = 0x0a;

/**
 * Splits a stream of bytes at newlines. Bytes are decoded a whole line at a time, so a character whose bytes
 * lie in two chunks comes out whole. A last line without newline is dropped: a cut frame is no frame.
 */
export function createLineSplitter(maxLineBytes = 16 * 1024 * 1024): (chunk: Uint8Array) => string[] {
  let parts: Uint8Array[] = [];
  let partBytes = 0;
  return (chunk) => {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      parts.push(chunk.subarray(start, end));
      const line = Buffer.concat(parts).toString("utf8");
      if (line.trim() !== "") lines.push(line);
      parts = [];
      partBytes = 0;
      start = end + 1;
    }
    if (start < chunk.length) {
      parts.push(chunk.subarray(start));
      partBytes += chunk.length - start;
      if (partBytes > maxLineBytes)
        throw new LineTooLongError(`a line of more than ${maxLineBytes} bytes arrived`);
    }
    return lines;
  };
}
