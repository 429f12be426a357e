import { createSigner, type PrivateKey, readKeyFile, type Signer } from "../../platform/trust.ts";

/** Signs with the key that is in a file, also after it was replaced. */
export interface FileSigner extends Signer {
  /** Reads the file again; what cannot be read or is no key throws, and changes nothing. */
  refresh(): Promise<void>;
}

/** Reads the key of the gateways; throws when there is none. */
export async function createFileSigner(file: string): Promise<FileSigner> {
  let text = "";
  let signer: Signer;
  const refresh = async () => {
    const jwk = await readKeyFile<PrivateKey>(file);
    const read = JSON.stringify(jwk);
    if (read === text) return;
    signer = await createSigner({ jwk, issuer: "gateway", subject: "gateway" });
    text = read;
  };
  await refresh();
  return { refresh, token: (audience) => signer.token(audience), sign: (payload) => signer.sign(payload) };
}
