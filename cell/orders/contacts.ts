import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync, randomBytes } from "node:crypto";
import type { Tx } from "../../platform/sql.ts";
import type { PlaceBody } from "./contract.ts";

export type Contact = PlaceBody["contact"];

/** Encrypts contacts with a key per order, wrapped by the cell's: erasing one row's key erases the person. */
export interface Contacts {
  /** Encrypts; `saveAll` writes what came of it. */
  seal(orderId: string, contact: Contact): SealedContact;
  saveAll(tx: Tx, contacts: readonly SealedContact[]): Promise<void>;
  read(tx: Tx, orderId: string): Promise<Contact | undefined>;
  /** Takes the place of the contact that is there. */
  replace(tx: Tx, contact: SealedContact): Promise<void>;
  /** Names by which customers and addresses can be told apart and nothing else be learned: HMAC-SHA256 under a key of the cell's. */
  digests(sub: string, contact: Contact): { readonly customer: string; readonly address: string };
}

/** One order's contact as it is stored. */
export interface SealedContact {
  readonly orderId: string;
  readonly wrappedKey: Buffer;
  readonly nonce: Buffer;
  readonly ciphertext: Buffer;
  readonly tag: Buffer;
}

const CIPHER = "aes-256-gcm";
const NONCE_BYTES = 12;
const KEY_BYTES = 32;

/** `secret` is the cell's own, at least 32 bytes of entropy; the wrapping key is derived from it (HKDF, RFC 5869). */
export function createContacts(secret: string): Contacts {
  const salt = createHash("sha256").update("fulfillment-cells contact").digest();
  const wrapping = Buffer.from(hkdfSync("sha256", secret, salt, "wrap order keys", KEY_BYTES));
  const telling = Buffer.from(hkdfSync("sha256", secret, salt, "tell customers apart", KEY_BYTES));
  const digest = (kind: string, text: string) =>
    createHmac("sha256", telling).update(`${kind}\n${text}`).digest("base64url");
  return {
    digests: (sub, { address }) => ({
      customer: digest("customer", sub),
      address: digest("address", plainAddress(address)),
    }),
    async replace(tx, { orderId, wrappedKey, nonce, ciphertext, tag }) {
      await tx.query(
        "UPDATE orders.contact SET wrapped_key = $2, nonce = $3, ciphertext = $4, tag = $5 WHERE order_id = $1",
        [orderId, wrappedKey, nonce, ciphertext, tag],
      );
    },
    seal(orderId, contact) {
      const key = randomBytes(KEY_BYTES);
      const wrapped = seal(wrapping, key, orderId);
      const body = seal(key, Buffer.from(JSON.stringify(contact)), orderId);
      const wrappedKey = Buffer.concat([wrapped.nonce, wrapped.tag, wrapped.text]);
      return { orderId, wrappedKey, nonce: body.nonce, ciphertext: body.text, tag: body.tag };
    },
    async saveAll(tx, contacts) {
      await tx.query(
        `INSERT INTO orders.contact (order_id, wrapped_key, nonce, ciphertext, tag)
         SELECT * FROM unnest($1::TEXT[], $2::BYTEA[], $3::BYTEA[], $4::BYTEA[], $5::BYTEA[])
         ON CONFLICT (order_id) DO NOTHING`,
        [
          contacts.map(({ orderId }) => orderId),
          contacts.map(({ wrappedKey }) => wrappedKey),
          contacts.map(({ nonce }) => nonce),
          contacts.map(({ ciphertext }) => ciphertext),
          contacts.map(({ tag }) => tag),
        ],
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

/** The same door however it was typed. */
function plainAddress(address: string): string {
  return address
    .normalize("NFKC")
    .toLowerCase()
    .replace(/[\s,.]+/g, " ")
    .trim();
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
