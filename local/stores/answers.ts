import { connect } from "node:net";

/** A request to one of the stores on loopback must be answered within this time. */
const ANSWER_BOUND_MS = 2_000;
const MAX_ANSWER_BYTES = 64 * 1024;

/** True when Redis accepts the password and answers (RESP, AUTH and PING). */
export async function redisAnswers(port: number, password: string): Promise<boolean> {
  const request = Buffer.from(`AUTH ${password}\r\nPING\r\n`);
  const answer = await ask(port, request, (bytes) => bytes.toString().split("\r\n").length > 2);
  return answer.toString() === "+OK\r\n+PONG\r\n";
}

/**
 * True when the broker answers a Metadata request (Kafka protocol, API key 3, version 4) and names itself as a
 * member of the cluster. An open port is too early: the broker may still be fenced.
 */
export async function kafkaAnswers(port: number): Promise<boolean> {
  const body = Buffer.alloc(17);
  body.writeInt16BE(3, 0); // API key
  body.writeInt16BE(4, 2); // version
  body.writeInt32BE(1, 4); // correlation id
  body.writeInt16BE(0, 8); // empty client id
  body.writeInt32BE(0, 10); // no topics
  body.writeInt8(0, 14); // no automatic creation
  const request = Buffer.concat([int32(15), body.subarray(0, 15)]);
  const answer = await ask(
    port,
    request,
    (bytes) => bytes.length >= 16 && bytes.length >= 4 + bytes.readInt32BE(0),
  );
  return answer.length >= 16 && answer.readInt32BE(4) === 1 && answer.readInt32BE(12) >= 1;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

/** Sends `request` and collects bytes until `isWhole`, the end of the stream, or the bound. */
function ask(port: number, request: Buffer, isWhole: (bytes: Buffer) => boolean): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port });
    let bytes = Buffer.alloc(0);
    const finish = () => {
      socket.destroy();
      resolve(bytes);
    };
    socket.setTimeout(ANSWER_BOUND_MS, finish);
    socket.once("error", (error) => {
      socket.destroy();
      reject(error);
    });
    socket.once("connect", () => socket.write(request));
    socket.once("end", finish);
    socket.on("data", (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      if (isWhole(bytes) || bytes.length > MAX_ANSWER_BYTES) finish();
    });
  });
}
