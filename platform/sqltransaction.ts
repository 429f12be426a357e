import type { SqlConnection, SqlPool, Tx } from "./sql.ts";
import { prepared } from "./sqlprepared.ts";
import { Fenced, sqlState } from "./sqlstate.ts";

/** SQLSTATE in_failed_sql_transaction. */
const BEHIND_A_FAILURE = "25P02";

/** Runs it in one SERIALIZABLE transaction, once; its errors come as they are. `epoch` null: nothing is asked about it. */
export async function once<T>(
  pool: SqlPool,
  fn: (tx: Tx) => Promise<T>,
  epoch: number | null,
): Promise<{ result: T; marks: ReadonlySet<string> }> {
  const client = await pool.connect();
  const marks = new Set<string>();
  let broken: Error | undefined;
  // A connection that is lent out has no listener of the pool's: without one, its end would end the process.
  const breaks = (error: Error) => {
    broken = error;
  };
  client.on("error", breaks);
  let isOver = false;
  try {
    const begun = together(client, () => begin(client, epoch));
    const query = queryBehind(begun, client, () => isOver);
    const result = await fn({ query, mark: (what) => marks.add(what) }).finally(() => {
      isOver = true;
    });
    await begun;
    const { command } = await client.query("COMMIT");
    // What the server answers to COMMIT when a statement had failed and nobody told.
    if (command === "ROLLBACK")
      throw new Error("a statement failed and its error was passed over: nothing is written");
    return { result, marks };
  } catch (error) {
    try {
      await client.query("ROLLBACK");
    } catch (rollbackError) {
      broken = rollbackError as Error;
    }
    throw error;
  } finally {
    client.off("error", breaks);
    client.release(broken);
  }
}

/**
 * A first look travels with BEGIN; nobody sees its answer before the epoch is known to be in force. Anything that writes waits: if BEGIN
 * itself failed, it would be committed by itself.
 */
function queryBehind(begun: Promise<void>, client: SqlConnection, isOver: () => boolean): Tx["query"] {
  let isOpen = false;
  let waiting = 0;
  let first: { readonly error: unknown } | undefined;
  const opened = begun.then(() => {
    isOpen = true;
  });
  opened.catch(() => undefined);
  return async <R>(text: string, values: readonly unknown[] = []) => {
    if (waiting > 0 || !(isOpen || /^\s*SELECT\b/i.test(text))) {
      waiting++;
      await opened.finally(() => waiting--);
    }
    // One of several that were under way has failed: on this connection the next transaction may have begun.
    if (isOver()) throw new Error("a statement came after the end of its transaction, and was not sent");
    const answering = together(client, () => client.query<object>(prepared(text, values)));
    answering.catch((error: unknown) => {
      first ??= { error };
    });
    await opened;
    try {
      return (await answering).rows as R[];
    } catch (error) {
      // What went wrong is with the statement that failed; whoever asks for both at once may hear of this one sooner.
      throw sqlState(error) === BEHIND_A_FAILURE ? first?.error : error;
    }
  };
}

/** What is sent in one turn of the event loop goes out in one piece: waking the server up costs more than the sending. */
function together<T>(client: SqlConnection, send: () => T): T {
  const { stream } = client.connection;
  stream.cork();
  process.nextTick(() => stream.uncork());
  return send();
}

/** Both in one message: the check costs no turn of its own, and nothing comes between it and the snapshot. */
async function begin(client: SqlConnection, epoch: number | null): Promise<void> {
  const start = "BEGIN ISOLATION LEVEL SERIALIZABLE";
  if (epoch === null) {
    await client.query(start);
    return;
  }
  const answers = (await client.query(
    `${start}; SELECT epoch FROM cell.lease WHERE id = 1 FOR SHARE`,
  )) as unknown as { readonly rows: { readonly epoch: number }[] }[];
  const inForce = answers[1]?.rows[0]?.epoch;
  if (inForce !== epoch) throw new Fenced(epoch, inForce);
}
