import { messageOf } from "../cluster/errors.ts";
import { createProgress } from "../progress.ts";
import { buildImages } from "./images.ts";

const progress = createProgress({ stream: process.stderr });
try {
  const { archives } = await buildImages({ report: progress });
  progress.done("Images are in the cache.");
  for (const { ref, archive } of archives) console.log(`${ref} ${archive}`);
} catch (error) {
  progress.fail(messageOf(error));
  process.exitCode = 1;
}
