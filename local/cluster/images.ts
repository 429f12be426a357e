import { basename } from "node:path";
import { type BuiltImage, buildImage } from "../images/archive.ts";
import { copyFile } from "../images/entries.ts";
import { makeLayer } from "../images/layer.ts";

/** Nobody, as Debian numbers it: these programs own nothing. */
const USER = "65534:65534";

/** Makes an image of one static program. Kept by the content of the program. */
export async function programImage(program: string): Promise<BuiltImage> {
  const name = basename(program);
  const layer = await makeLayer([copyFile(program, name)]);
  return buildImage({ name, layers: [layer], config: { User: USER, Entrypoint: [`/${name}`] } });
}
