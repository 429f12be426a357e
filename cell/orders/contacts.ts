import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from "node:crypto";
import type { Tx } from "../../platform/sql.ts";
import type { PlaceBody } from "./contract.ts";

export type Contact = PlaceBody["contact"];

/** Encrypts contacts with a key per order, wrapped by the cell's: erasing one row's key erases the person. */
export interface Contacts {
  save(tx: Tx, orderId: string, contact: Contact): Promise<void>;
  read(tx: Tx, orderId: string): Promise<Contact | undefined>;
}

const CIPHER = "aes-256-gcm";
const NONCE_BYTES = 12;
const KEY_BYTES = 32;

/** `secret` is the cell's own, at least 32 bytes of entropy; the wrapping key is derived from it (HKDF, RFC 5869). */
export function createContacts(secret: string): Contacts {
  const salt = createHash("sha256").update("fulfillment-cells contact").digest();
  const wrapping = Buffer.from(hkdfSync("sha256", secret, salt, "wrap order keys", KEY_BYTES));
  return {
    async save(tx, orderId, contact) {
      const key = randomBytes(KEY_BYTES);
      const wrapped = seal(wrapping, key, orderId);
      const body = seal(key, Buffer.from(JSON.stringify(contact)), orderId);
      await tx.query(
        `INSERT INTO orders.contact (order_id, wrapped_key, nonce, ciphertext, tag) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (order_id) DO NOTHING`,
        [orderId, Buffer.concat([wrapped.nonce, wrapped.tag, wrapped.text]), body.nonce, body.text, body.tag],
      );
    },
    async read(tx, orderId) {
      const rows = await tx.query<{ wrapped_key: Buffer; nonce: Buffer; ciphertext: Buffer; tag: Buffer }>(
        "SELECT wrapped_key, nonce, ciphertext, tag FROM orders.contact WHERE order_id = $1",
        [orderId],
      );
      const row = rows[0];
      if (!row) return undefined;
      const wrapped = {
        nonce: row.wrapped_key.subarray(0, NONCE_BYTES),
        tag: row.wrapped_key.subarray(NONCE_BYTES, NONCE_BYTES + 16),
        text: row.wrapped_key.subarray(NONCE_BYTES + 16),
      };
      const key = open(wrapping, wrapped, orderId);
      const text = open(key, { nonce: row.nonce, tag: row.tag, text: row.ciphertext }, orderId);
      return JSON.parse(text.toString("utf8")) as Contact;
    },
  };
}

interface Sealed {
  readonly nonce: Buffer;
  readonly tag: Buffer;
  readonly text: Buffer;
}

function seal(key: Buffer, plain: Buffer, orderId: string): Sealed {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key, nonce);
  // Bound to its order: a row copied under another order's id does not open.
  cipher.setAAD(Buffer.from(orderId));
  const text = Buffer.concat([cipher.update(plain), cipher.final()]);
  return { nonce, text, tag: cipher.getAuthTag() };
}

function open(key: Buffer, sealed: Sealed, orderId: string): Buffer {
  const decipher = createDecipheriv(CIPHER, key, sealed.nonce);
  decipher.setAAD(Buffer.from(orderId));
  decipher.setAuthTag(sealed.tag);
  return Buffer.concat([decipher.update(sealed.text), decipher.final()]);
}
